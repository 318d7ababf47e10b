import {
  BLOCK_FLAG,
  type BlockIO,
  type Clock,
  type FileId,
  IO_FLAG,
  IO_OP,
  PAGE_BYTES,
  pushIo,
  RefillError,
  setIoKey,
} from '@refill/interface';
import type { BatchHeader } from './batch-header.ts';
import { ERRNO } from './errno.ts';
import { decodeFooter, decodeTrailer, type FooterBatch, type Trailer } from './footer.ts';
import { type IoBatches, ioResult } from './io-batches.ts';
import type { ScratchLease } from './scratch-lease.ts';
import { type HeaderIdentity, pagesUp, sameBytes } from './segment-bytes.ts';
import { ENTRY, ENTRY_WORDS } from './segment-format.ts';
import { decodeSegmentHeader, type SegmentHeader } from './segment-header.ts';
import { holdTimedOut } from './write-run.ts';

export interface ScanParts {
  io: BlockIO;
  clock: Clock;
  lease: ScratchLease;
  batches: IoBatches;
  deadlineMs: number;
}

/** Whose a file must be, and how much of it there is: from its record or its header, cut to the size of the file. */
export interface SegmentOwner extends HeaderIdentity {
  sizeBytes: number;
}

/** Stale zeros of a file system in doubt: the same pauses as of a read. */
const STALE_PAUSES_MS = [1, 4, 16] as const;

/** Reads bytes of a file into the JavaScript heap: headers and footers, never payloads. Fails with `errno`. */
export async function readBytes(
  parts: ScanParts,
  file: FileId,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const pieceBytes = 64 * PAGE_BYTES;
  const bytes = new Uint8Array(length);
  for (let from = 0; from < length; from += pieceBytes) {
    const part = Math.min(pieceBytes, length - from);
    const place = await parts.lease.take(pagesUp(part), parts.deadlineMs);
    const batch = parts.batches.take();
    try {
      pushIo(batch, IO_OP.read, 0, file, offset + from, 0, place.offset, part);
      await parts.io.submit(batch, { lane: 'read', deadlineMs: parts.deadlineMs });
      const result = ioResult(batch, 0);
      holdTimedOut(batch, parts.lease);
      if (result < 0)
        throw new RefillError('ERR_STORAGE_FAILED', 'a segment cannot be read', { errno: -result });
      if (result < part)
        throw new RefillError('ERR_STORAGE_FAILED', 'a segment is too short', { errno: ERRNO.EIO });
      bytes.set(place.bytes.subarray(0, part), from);
    } finally {
      parts.lease.give(place.offset, pagesUp(part));
      parts.batches.give(batch);
    }
  }
  return bytes;
}

/** The header page, or `undefined` when there is none that is whole. */
export async function readSegmentHeader(parts: ScanParts, file: FileId): Promise<SegmentHeader | undefined> {
  return retryStale(parts.clock, async () =>
    decodeSegmentHeader(await readBytes(parts, file, 0, PAGE_BYTES)),
  );
}

/** The trailer of a sealed segment, or `undefined` when it has none that is whole. */
export async function readTrailer(
  parts: ScanParts,
  file: FileId,
  owner: SegmentOwner,
): Promise<Trailer | undefined> {
  if (owner.sizeBytes < 2 * PAGE_BYTES) return undefined;
  const page = await readBytes(parts, file, owner.sizeBytes - PAGE_BYTES, PAGE_BYTES);
  const trailer = decodeTrailer(page, owner.sizeBytes);
  return trailer !== undefined && sameOwner(trailer, owner) ? trailer : undefined;
}

/** Trailer and footer of a sealed segment, or `undefined` when it has none that is whole. */
export async function readFooter(
  parts: ScanParts,
  file: FileId,
  owner: SegmentOwner,
): Promise<{ trailer: Trailer; batches: FooterBatch[] } | undefined> {
  const trailer = await readTrailer(parts, file, owner);
  if (trailer === undefined) return undefined;
  const batches = await decodeFooter(
    trailer,
    await readBytes(parts, file, trailer.footerOffset, trailer.footerBytes),
  );
  return batches && { trailer, batches };
}

/**
 * Which blocks of a batch are whole: 1 in `whole[i]`. `file` must have been opened with its identity. Payloads are
 * read into scratch memory and verified. A block that cannot be checked, for want of memory or by an error of the file
 * system, counts as whole: every read verifies again, so that trust costs at most a miss, and doubt could lose a block
 * that was acknowledged.
 */
export async function verifyBatch(parts: ScanParts, file: FileId, batch: BatchHeader): Promise<Uint8Array> {
  const whole = new Uint8Array(batch.blocks);
  for (let i = 0; i < batch.blocks; i++) {
    const at = i * ENTRY_WORDS;
    if ((batch.entries[at + ENTRY.flags]! & BLOCK_FLAG.tombstone) !== 0) {
      whole[i] = 1;
      continue;
    }
    const storedBytes = batch.entries[at + ENTRY.storedBytes]!;
    const place = await parts.lease.take(pagesUp(storedBytes), 0).catch(() => undefined);
    if (place === undefined) {
      whole[i] = 1;
      continue;
    }
    const io = parts.batches.take();
    try {
      pushIo(
        io,
        IO_OP.read,
        IO_FLAG.verify,
        file,
        batch.entries[at + ENTRY.offsetPages]! * PAGE_BYTES,
        0,
        place.offset,
        storedBytes,
        batch.entries[at + ENTRY.checksumLo]!,
        batch.entries[at + ENTRY.checksumHi]!,
      );
      setIoKey(io, 0, batch.entries, at + ENTRY.key);
      await parts.io.submit(io, { lane: 'read', deadlineMs: parts.deadlineMs });
      holdTimedOut(io, parts.lease);
      const result = ioResult(io, 0);
      whole[i] = result === -ERRNO.EBADMSG || (result >= 0 && result < storedBytes) ? 0 : 1;
    } finally {
      parts.lease.give(place.offset, pagesUp(storedBytes));
      parts.batches.give(io);
    }
  }
  return whole;
}

/** Reads again after 1, 4 and 16 ms while nothing whole comes. */
export async function retryStale<T>(
  clock: Clock,
  read: () => Promise<T | undefined>,
): Promise<T | undefined> {
  let found = await read();
  for (let i = 0; found === undefined && i < STALE_PAUSES_MS.length; i++) {
    await new Promise<void>((resolve) => clock.after(STALE_PAUSES_MS[i]!, resolve));
    found = await read();
  }
  return found;
}

/** Whether what a header says of itself is what it must be. */
export function sameOwner(a: HeaderIdentity, b: HeaderIdentity): boolean {
  return (
    a.epoch === b.epoch && sameBytes(a.segmentId, b.segmentId) && sameBytes(a.namespaceId, b.namespaceId)
  );
}
