import {
  BLOCK_FLAG,
  type Directory,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  PAGE_BYTES,
  type SegmentRecord,
} from '@refill/interface';
import type { Buried } from './buried.ts';
import { ENTRY, ENTRY_WORDS } from './segment-format.ts';

/** Whether a batch removes blocks: such a batch holds nothing else. */
export function isTombstoneBatch(batch: { entries: Uint32Array }): boolean {
  return (batch.entries[ENTRY.flags]! & BLOCK_FLAG.tombstone) !== 0;
}

/**
 * Removes what a batch of tombstones removed, as far as it was written before the batch: in an earlier epoch, an
 * earlier segment or further in front. What was stored again later stays. A location that a tombstone names is removed
 * wherever it lies, and noted in `buried` for when it is met later: between nodes the order of segments is not that of time.
 */
export async function applyTombstones(
  directory: Directory,
  batch: { entries: Uint32Array; blocks: number; offset: number },
  segment: SegmentRecord,
  buried: Buried,
): Promise<void> {
  const { blocks, entries } = batch;
  for (let i = 0; i < blocks; i++) buried.add(entries, i);
  const keys = new Uint32Array(blocks * 8);
  for (let i = 0; i < blocks; i++) keys.set(entries.subarray(i * ENTRY_WORDS, i * ENTRY_WORDS + 8), i * 8);
  const rows = new Uint32Array(blocks * LOCATION_ROW_WORDS);
  await directory.lookup(segment.namespace, keys, blocks, rows);
  let count = 0;
  for (let i = 0; i < blocks; i++) {
    const at = i * LOCATION_ROW_WORDS;
    if (rows[at + LOCATION_ROW.found] === 0) continue;
    const holder = directory.segment(rows[at + LOCATION_ROW.segment]!);
    const page = rows[at + LOCATION_ROW.offsetPages]!;
    if (holder === undefined) continue;
    if (!isBefore(holder, page * PAGE_BYTES, segment, batch.offset) && !buried.has(holder.id, page)) continue;
    keys.copyWithin(count * 8, i * 8, i * 8 + 8);
    count++;
  }
  if (count > 0) await directory.remove(segment.namespace, keys, count);
}

function isBefore(a: SegmentRecord, offset: number, b: SegmentRecord, otherOffset: number): boolean {
  if (a.index === b.index) return offset < otherOffset;
  return a.epoch === b.epoch ? a.index < b.index : a.epoch < b.epoch;
}
