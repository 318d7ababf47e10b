import type { ReadExplanation, ReadShare } from '@refill/interface';
import { checkKeys } from './arguments.ts';
import type { NodeCore } from './node-parts.ts';
import { type PlannedRead, planRead } from './plan-read.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/** What a read of keys would take from where, and the figures by which that is decided. */
export function explain(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
): ReadExplanation | Promise<ReadExplanation> {
  checkOpen(state);
  checkKeys(keys, count);
  checkNamespace(state, namespace);
  const { core } = state;
  const planned = planRead(core, namespace, keys, count);
  return planned instanceof Promise
    ? planned.then((read) => explanationOf(core, read, count))
    : explanationOf(core, planned, count);
}

function explanationOf(core: NodeCore, read: PlannedRead, count: number): ReadExplanation {
  const { ids, rowOf, estimate } = read;
  const dram: ReadShare = { name: 'dram', tier: 'dram', blocks: 0, bytes: 0, estimatedMs: 0 };
  let misses = 0;
  for (let i = 0; i < count; i++) {
    if (ids[i]! >= 0) {
      dram.blocks++;
      dram.bytes += core.tier.columns.lengthBytes[ids[i]!]!;
    } else if (rowOf[i]! < 0 || estimate.sourceOf[rowOf[i]!]! < 0) misses++;
  }
  const shares = estimate.sources
    .filter(({ blocks }) => blocks > 0)
    .map(({ name, tier, blocks, bytes, ms }) => ({ name, tier, blocks, bytes, estimatedMs: ms }));
  return {
    keys: count,
    misses,
    sources: core.sources.readings(),
    plan: [dram, ...shares],
    estimatedMs: Math.max(0, ...shares.map(({ estimatedMs }) => estimatedMs)),
  };
}
