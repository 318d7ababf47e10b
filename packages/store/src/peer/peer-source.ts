import type { ClusterMember } from '@refill/interface';
import { LOAD_ROW } from '../shared-tier.ts';
import type { BlockSource } from '../source/block-source.ts';
import type { PeerReader } from './peer-reader.ts';

/** What of `Cluster` it uses. */
export interface MemberList {
  member(slot: number): ClusterMember | undefined;
}

export interface PeerSourcesParts {
  reader: Pick<PeerReader, 'load'>;
  cluster: MemberList;
  /** Name of this node, which does not read from itself. */
  self: string;
}

/**
 * `NodeComponents.peer`: the source that reads from the memory of the member with a slot, `undefined` when there is no
 * such member or it is this one. A slot is never another node's, so that its source is made once.
 */
export function peerSources({
  reader,
  cluster,
  self,
}: PeerSourcesParts): (slot: number) => BlockSource | undefined {
  const sources = new Map<number, BlockSource>();
  return (slot) => {
    const member = cluster.member(slot);
    if (member === undefined || member.node === self) {
      sources.delete(slot);
      return undefined;
    }
    let source = sources.get(slot);
    if (source === undefined) {
      source = {
        name: `peer:${member.node}`,
        tier: 'peer',
        mayHold: (rows, row) =>
          isHolder(rows[row + LOAD_ROW.holdersLo]!, slot) || isHolder(rows[row + LOAD_ROW.holdersHi]!, slot),
        load: (rows, count, deadlineMs) => {
          // Its addresses may have changed with its epoch.
          return reader.load(cluster.member(slot) ?? member, rows, count, deadlineMs);
        },
      };
      sources.set(slot, source);
    }
    return source;
  };
}

function isHolder(word: number, slot: number): boolean {
  return (word & 0xffff) === slot || word >>> 16 === slot;
}
