import { BLOCK_FLAG, type BlockIO, type FileId, PAGE_BYTES } from '@refill/interface';
import { scanBatches } from './batch-scan.ts';
import type { FooterBatch } from './footer.ts';
import { ENTRY, ENTRY_WORDS } from './segment-format.ts';
import { segmentPath } from './segment-path.ts';
import { readFooter, type ScanParts, type SegmentOwner, verifyBatch } from './segment-scan.ts';

/** A batch as its segment tells it; `whole[i]` is 0 for a block whose payload is not, `undefined` when none was in doubt. */
export type FoundBatch = FooterBatch & { whole: Uint8Array | undefined };

export interface SegmentContents {
  /** The footer is whole: the writer finished the segment. */
  sealed: boolean;
  /** End of the last batch, within the file. */
  endBytes: number;
  /** Damaged places in the chain of headers that were passed over, and their bytes. */
  gaps: number;
  skippedBytes: number;
  batches: FoundBatch[];
}

/**
 * What a segment holds: its footer, else its batches as far as their headers are whole. Payloads that the writer knew
 * to be durable are trusted, unless the file ends before them; those behind are read and verified.
 */
export async function readContents(
  parts: ScanParts,
  file: FileId,
  owner: SegmentOwner,
): Promise<SegmentContents> {
  const footer = await readFooter(parts, file, owner);
  if (footer !== undefined) {
    const batches = footer.batches.map((batch) => ({ ...batch, whole: undefined }));
    return { sealed: true, endBytes: footer.trailer.endBytes, gaps: 0, skippedBytes: 0, batches };
  }
  const { syncedBytes, endBytes, gaps, skippedBytes, ...scanned } = await scanBatches(parts, file, owner);
  const trustedBytes = Math.min(syncedBytes, owner.sizeBytes);
  const batches: FoundBatch[] = [];
  for (const batch of scanned.batches) {
    const trusted = batch.offset + batch.totalBytes <= trustedBytes;
    batches.push({ ...batch, whole: trusted ? undefined : await verifyBatch(parts, file, batch) });
  }
  return { sealed: false, endBytes, gaps, skippedBytes, batches };
}

/** Whole pages of a segment's file; `undefined` when it is not there. A file cut short is read as far as it goes. */
export async function fileBytes(
  io: BlockIO,
  id: Uint8Array,
  deadlineMs: number,
): Promise<number | undefined> {
  const stat = await io.stat(segmentPath(id), { deadlineMs });
  return stat && stat.sizeBytes - (stat.sizeBytes % PAGE_BYTES);
}

/** Whether a segment removes blocks of others. */
export function holdsTombstones({ batches }: SegmentContents): boolean {
  return batches.some((batch) => {
    for (let i = 0; i < batch.blocks; i++) {
      if ((batch.entries[i * ENTRY_WORDS + ENTRY.flags]! & BLOCK_FLAG.tombstone) !== 0) return true;
    }
    return false;
  });
}
