import { KEY_WORDS, LOCATE_NODES_MAX, type NodeResidency, RefillError } from '@refill/interface';
import { checkDeadline, checkKeys } from './arguments.ts';
import type { NodeCore } from './node-parts.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/** Nodes by what they hold of the keys in DRAM: this one as it is, the others as the cluster knows them. */
export function locate(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  limit: number,
  deadlineMs: number,
): NodeResidency[] | Promise<NodeResidency[]> {
  checkOpen(state);
  checkKeys(keys, count);
  checkDeadline(deadlineMs);
  checkNamespace(state, namespace);
  if (!Number.isInteger(limit) || limit < 1 || limit > LOCATE_NODES_MAX) {
    throw new RefillError(
      'ERR_INVALID_ARGUMENT',
      `limit must be a whole number from 1 to ${LOCATE_NODES_MAX}, got ${limit}`,
    );
  }
  const { core } = state;
  const { cluster } = core;
  if (cluster === undefined) return [ownShare(core, namespace, keys, count)];
  // One more than is wanted: this node is among them, perhaps with less than it holds by now.
  return cluster.locate(namespace, keys, count, limit + 1, deadlineMs).then((shares) => {
    const own = ownShare(core, namespace, keys, count);
    const others = shares
      .filter(({ member }) => member.node !== own.node)
      .map(({ member, prefixBlocks, blocks }) => ({
        node: member.node,
        prefixBlocks,
        blocks,
        tiers: { dram: blocks },
        addresses: member.control.addresses,
      }));
    return [own, ...others]
      .sort((a, b) => b.prefixBlocks - a.prefixBlocks || b.blocks - a.blocks)
      .slice(0, limit);
  });
}

function ownShare(core: NodeCore, namespace: number, keys: Uint32Array, count: number): NodeResidency {
  const { tier, cluster, options } = core;
  let [prefixBlocks, blocks] = [0, 0];
  for (let i = 0; i < count; i++) {
    const id = tier.find(namespace, keys, i * KEY_WORDS);
    if (id < 0 || !tier.isReadable(id)) continue;
    if (prefixBlocks === i) prefixBlocks++;
    blocks++;
  }
  const self = cluster?.members.find(({ node }) => node === options.nodeName);
  return {
    node: options.nodeName,
    prefixBlocks,
    blocks,
    tiers: { dram: blocks },
    addresses: self?.control.addresses ?? [],
  };
}
