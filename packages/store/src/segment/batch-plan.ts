import { BLOCK_FLAG, type BlockIO, KEY_WORDS, PAGE_BYTES } from '@refill/interface';
import { mappedBytes } from '../arena/mapped-bytes.ts';
import { copyWords } from '../fill-rows.ts';
import { type Scratch, type SharedTierCounters, STORE_ROW, STORE_ROW_WORDS } from '../shared-tier.ts';
import { batchHeaderBytes } from './batch-header.ts';
import { compressPayload, type Split } from './compress.ts';
import type { Pick } from './put-queue.ts';
import { pagesUp } from './segment-bytes.ts';
import { ENTRY, ENTRY_WORDS } from './segment-format.ts';

/** A batch that is ready to be placed: entries without offsets and checksums, and where the payloads lie. */
export interface BatchPlan {
  readonly pick: Pick;
  readonly blocks: number;
  readonly entries: Uint32Array;
  readonly buffers: Int32Array;
  readonly bufferOffsets: Float64Array;
  readonly headerBytes: number;
  totalBytes: number;
  /** Scratch memory that holds compressed payloads until the batch is done. */
  readonly scratch: { offset: number; lengthBytes: number }[];
}

/** Describes the picked blocks. */
export function planBatch(pick: Pick): BatchPlan {
  const blocks = pick.rowIndexes.length;
  const entries = new Uint32Array(blocks * ENTRY_WORDS);
  const buffers = new Int32Array(blocks);
  const bufferOffsets = new Float64Array(blocks);
  const headerBytes = batchHeaderBytes(blocks);
  let totalBytes = headerBytes;
  const tombstone = (pick.flags & BLOCK_FLAG.tombstone) !== 0;
  for (let i = 0; i < blocks; i++) {
    const { rows } = pick.requests[i]!;
    const row = pick.rowIndexes[i]! * STORE_ROW_WORDS;
    const at = i * ENTRY_WORDS;
    copyWords(rows, row + STORE_ROW.key, entries, at + ENTRY.key, KEY_WORDS);
    entries[at + ENTRY.flags] = pick.flags;
    // Of a tombstone these words say what it buries.
    copyWords(rows, row + STORE_ROW.parent, entries, at + ENTRY.parent, KEY_WORDS);
    if (tombstone) continue;
    const lengthBytes = rows[row + STORE_ROW.lengthBytes]!;
    entries[at + ENTRY.family] = rows[row + STORE_ROW.family]!;
    entries[at + ENTRY.shard] = rows[row + STORE_ROW.shard]!;
    entries[at + ENTRY.tokens] = rows[row + STORE_ROW.tokens]!;
    entries[at + ENTRY.lengthBytes] = lengthBytes;
    entries[at + ENTRY.storedBytes] = lengthBytes;
    buffers[i] = rows[row + STORE_ROW.buffer]!;
    bufferOffsets[i] =
      rows[row + STORE_ROW.bufferOffsetHi]! * 2 ** 32 + rows[row + STORE_ROW.bufferOffsetLo]!;
    totalBytes += pagesUp(lengthBytes);
  }
  return { pick, blocks, entries, buffers, bufferOffsets, headerBytes, totalBytes, scratch: [] };
}

/** Replaces payloads by their compressed form where that pays and scratch memory is to be had. */
export async function compressPlan(
  plan: BatchPlan,
  split: Split,
  parts: { io: BlockIO; scratch: Scratch; counters: SharedTierCounters },
): Promise<void> {
  for (let i = 0; i < plan.blocks; i++) {
    const at = i * ENTRY_WORDS;
    const lengthBytes = plan.entries[at + ENTRY.lengthBytes]!;
    const payload = mappedBytes(parts.io, plan.buffers[i]!, plan.bufferOffsets[i]!, lengthBytes);
    const stored = await compressPayload(payload, split);
    parts.counters.compressibleBytes += lengthBytes;
    parts.counters.compressedBytes += stored?.length ?? lengthBytes;
    const place = stored && parts.scratch.allocate(pagesUp(stored.length));
    if (stored === undefined || place === undefined) continue;
    place.bytes.set(stored);
    plan.scratch.push({ offset: place.offset, lengthBytes: pagesUp(stored.length) });
    plan.buffers[i] = 0;
    plan.bufferOffsets[i] = place.offset;
    plan.entries[at + ENTRY.storedBytes] = stored.length;
    plan.entries[at + ENTRY.flags]! |= BLOCK_FLAG.compressed;
    plan.totalBytes += pagesUp(stored.length) - pagesUp(lengthBytes);
  }
}

/** Gives every payload its offset in the segment, for a batch that starts at `offset`. */
export function placePlan(plan: BatchPlan, offset: number): void {
  let end = offset + plan.headerBytes;
  for (let i = 0; i < plan.blocks; i++) {
    const at = i * ENTRY_WORDS;
    const storedBytes = plan.entries[at + ENTRY.storedBytes]!;
    if (storedBytes === 0) continue;
    plan.entries[at + ENTRY.offsetPages] = end / PAGE_BYTES;
    end += pagesUp(storedBytes);
  }
}
