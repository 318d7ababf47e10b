import { LOOKUP_TIER, ROW_STATUS } from '@refill/interface';
import { LOAD_STATUS } from '../shared-tier.ts';
import type { NodeCounters } from './node-parts.ts';

/** Counts a key that was answered, under the tier that its bytes came from (`LOOKUP_TIER`). */
export function countHit(counters: NodeCounters, tier: number, lengthBytes: number): void {
  const of =
    tier === LOOKUP_TIER.nvme
      ? counters.nvme
      : tier === LOOKUP_TIER.peer
        ? counters.peer
        : tier === LOOKUP_TIER.shared
          ? counters.shared
          : counters.dram;
  of.hits++;
  of.bytes += lengthBytes;
}

/** Counts a key that was not answered. Corrupt blocks are counted where they are found. */
export function countOutcome(counters: NodeCounters, status: number): void {
  counters.misses++;
  if (status === ROW_STATUS.late) counters.late++;
}

/** What a reader is told of a load. A block that is gone was moved or deleted: a miss like any other. */
export function outcomeOf(loadStatus: number): number {
  if (loadStatus === LOAD_STATUS.done) return ROW_STATUS.hit;
  if (loadStatus === LOAD_STATUS.late) return ROW_STATUS.late;
  if (loadStatus === LOAD_STATUS.corrupt) return ROW_STATUS.corrupt;
  return loadStatus === LOAD_STATUS.gone ? ROW_STATUS.miss : ROW_STATUS.failed;
}
