import { type FileId, IO_OP, PAGE_BYTES, pushIo, RefillError } from '@refill/interface';
import { type BatchHeader, batchHeaderLength, decodeBatchHeader } from './batch-header.ts';
import { ioResult } from './io-batches.ts';
import { viewOf } from './segment-bytes.ts';
import { MAGIC_BATCH } from './segment-format.ts';
import { readBytes, retryStale, type ScanParts, type SegmentOwner, sameOwner } from './segment-scan.ts';
import { holdTimedOut } from './write-run.ts';

/** What the batch headers of a segment say. */
export interface ScannedSegment {
  batches: BatchHeader[];
  /** Up to here the writer knew its payloads to be durable: they need no check. */
  syncedBytes: number;
  /** End of the last whole header's batch; of a file that was cut short, at most the end of the file. */
  endBytes: number;
  /** Places where a header is damaged and a later one is whole, and the bytes between. */
  gaps: number;
  skippedBytes: number;
}

const PIECE_BYTES = 64 * PAGE_BYTES;

/**
 * Follows the batch headers. Where one is not whole, the rest of the file is searched for the next that is: bit rot
 * in one header costs the blocks of one batch, not all behind it. A torn tail ends the scan, because nothing whole
 * lies behind: a segment's file is new, an offset of it is written at most once, and a header says where it lies, so
 * that neither an older header nor one inside a payload is taken for a batch. Batches found behind a torn one were
 * never acknowledged; they may appear, verified like any other that was not known to be durable.
 */
export async function scanBatches(
  parts: ScanParts,
  file: FileId,
  owner: SegmentOwner,
): Promise<ScannedSegment> {
  const scanned = {
    batches: [] as BatchHeader[],
    syncedBytes: 0,
    endBytes: PAGE_BYTES,
    gaps: 0,
    skippedBytes: 0,
  };
  let sequence = 0;
  while (scanned.endBytes + PAGE_BYTES <= owner.sizeBytes) {
    const at = scanned.endBytes;
    let batch = await batchAt(parts, file, owner, at, sequence);
    if (batch === undefined) {
      batch = await findBatch(parts, file, owner, at + PAGE_BYTES, sequence);
      if (batch === undefined) break;
      scanned.gaps++;
      scanned.skippedBytes += batch.offset - at;
    }
    sequence = batch.sequence;
    scanned.batches.push(batch);
    scanned.syncedBytes = Math.max(scanned.syncedBytes, batch.syncedBytes);
    scanned.endBytes = Math.min(batch.offset + batch.totalBytes, owner.sizeBytes);
  }
  return scanned;
}

/** The batch at `offset`, after the pauses for stale bytes; `undefined` when no whole one of this segment lies there. */
export function batchAt(
  parts: ScanParts,
  file: FileId,
  owner: SegmentOwner,
  offset: number,
  sequenceBefore: number,
): Promise<BatchHeader | undefined> {
  return retryStale(parts.clock, () => readBatchAt(parts, file, owner, offset, sequenceBefore));
}

async function readBatchAt(
  parts: ScanParts,
  file: FileId,
  owner: SegmentOwner,
  offset: number,
  sequenceBefore: number,
): Promise<BatchHeader | undefined> {
  if (offset + PAGE_BYTES > owner.sizeBytes) return undefined;
  let bytes = await readBytes(parts, file, offset, PAGE_BYTES);
  const length = batchHeaderLength(bytes);
  if (offset + length > owner.sizeBytes) return undefined;
  if (length > PAGE_BYTES) bytes = await readBytes(parts, file, offset, length);
  const batch = decodeBatchHeader(bytes);
  const valid =
    batch !== undefined &&
    sameOwner(batch, owner) &&
    batch.offset === offset &&
    batch.sequence > sequenceBefore;
  return valid ? batch : undefined;
}

/** The next whole batch from `from` on, looked for page by page: payload pages are passed over by their first bytes. */
async function findBatch(
  parts: ScanParts,
  file: FileId,
  owner: SegmentOwner,
  from: number,
  sequenceBefore: number,
): Promise<BatchHeader | undefined> {
  for (let at = from; at + PAGE_BYTES <= owner.sizeBytes; at += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, owner.sizeBytes - at);
    for (const page of await pagesWithMagic(parts, file, at, length)) {
      const batch = await readBatchAt(parts, file, owner, page, sequenceBefore);
      if (batch !== undefined) return batch;
    }
  }
  return undefined;
}

/** Offsets of the pages in a piece that begin like a batch header. */
async function pagesWithMagic(
  parts: ScanParts,
  file: FileId,
  offset: number,
  length: number,
): Promise<number[]> {
  const place = await parts.lease.take(length, parts.deadlineMs);
  const batch = parts.batches.take();
  try {
    pushIo(batch, IO_OP.read, 0, file, offset, 0, place.offset, length);
    await parts.io.submit(batch, { lane: 'read', deadlineMs: parts.deadlineMs });
    holdTimedOut(batch, parts.lease);
    const result = ioResult(batch, 0);
    if (result < 0)
      throw new RefillError('ERR_STORAGE_FAILED', 'a segment cannot be read', { errno: -result });
    const view = viewOf(place.bytes);
    const found: number[] = [];
    for (let at = 0; at + PAGE_BYTES <= result; at += PAGE_BYTES) {
      const isHeader =
        view.getUint32(at, true) === MAGIC_BATCH[0] && view.getUint32(at + 4, true) === MAGIC_BATCH[1];
      if (isHeader) found.push(offset + at);
    }
    return found;
  } finally {
    parts.lease.give(place.offset, length);
    parts.batches.give(batch);
  }
}
