import {
  type BlockIO,
  type BufferId,
  type FileId,
  IO_BATCH_OPS_MAX,
  IO_FLAG,
  IO_OP,
  IO_WORDS,
  type IoBatch,
  invariant,
  PAGE_BYTES,
  pushIo,
} from '@refill/interface';
import { ERRNO } from './errno.ts';
import { type IoBatches, ioFailure, ioResult } from './io-batches.ts';
import type { ScratchLease } from './scratch-lease.ts';
import { pagesUp } from './segment-bytes.ts';
import type { SegmentSync } from './segment-sync.ts';
import type { WriteGate } from './write-gate.ts';

/** Memory that goes one piece after the other to one range of a file, each piece on a page of its own. */
export interface WritePiece {
  buffer: BufferId;
  bufferOffset: number;
  lengthBytes: number;
}

export interface WriteRunParts {
  io: BlockIO;
  gate: WriteGate;
  batches: IoBatches;
  lease: ScratchLease;
}

export interface WriteRun {
  file: FileId;
  offset: number;
  pieces: readonly WritePiece[];
  deadlineMs: number;
}

/**
 * Writes the pieces from `offset` on and syncs the file. Answers 0 when every byte is durable, else the errno.
 * A run that is `alone` in its segment carries its sync along, one hop; else it shares one with its neighbours,
 * and what comes behind it is written meanwhile.
 */
export function writeDurably(
  parts: WriteRunParts,
  run: WriteRun,
  sync: SegmentSync,
  alone: boolean,
): Promise<number> {
  if (alone && sync.idle) return sync.along(() => write(parts, run, { carry: true }));
  return write(parts, run, { shared: sync });
}

/** As `writeDurably`, without the sync: a later one of the same file has to cover it. */
export function writeUnsynced(parts: WriteRunParts, run: WriteRun): Promise<number> {
  return write(parts, run, {});
}

/**
 * While nobody reads a run is one vectored write. While somebody reads it goes in slices of about 1 MiB, one after
 * the other, so that a read waits behind little. After an error nothing more is written: the range is spent, whatever
 * of it is on the disk.
 */
async function write(
  parts: WriteRunParts,
  { file, offset, pieces, deadlineMs }: WriteRun,
  sync: { carry?: true; shared?: SegmentSync },
): Promise<number> {
  invariant(offset % PAGE_BYTES === 0, 'a run starts on a page');
  let piece = 0;
  let within = 0;
  let fileOffset = offset;
  while (piece < pieces.length) {
    const batch = parts.batches.take();
    const sliceBytes = parts.gate.sliceBytes;
    let bytes = 0;
    while (piece < pieces.length && bytes < sliceBytes && batch.count < IO_BATCH_OPS_MAX - 1) {
      const { buffer, bufferOffset, lengthBytes } = pieces[piece]!;
      const length = Math.min(lengthBytes - within, sliceBytes - bytes);
      const flags = batch.count === 0 ? 0 : IO_FLAG.adjacent;
      pushIo(batch, IO_OP.write, flags, file, fileOffset, buffer, bufferOffset + within, length);
      bytes += pagesUp(length);
      fileOffset += pagesUp(length);
      within += length;
      if (within === lengthBytes) {
        piece++;
        within = 0;
      }
    }
    const isLast = piece === pieces.length;
    if (isLast && sync.carry) pushIo(batch, IO_OP.sync, 0, file, 0, 0, 0, 0);
    await parts.gate.enter(bytes);
    let errno: number;
    let durable: Promise<number> | undefined;
    try {
      await parts.io.submit(batch, { lane: 'write', deadlineMs });
      errno = ioFailure(batch);
      if (errno === ERRNO.ETIMEDOUT) holdTimedOut(batch, parts.lease);
      // Asked for before the gate lets the next write through, or it would wait behind that one for a worker.
      if (errno === 0 && isLast) durable = sync.shared?.sync();
    } catch {
      errno = ERRNO.EIO;
    } finally {
      parts.gate.leave(bytes);
    }
    parts.batches.give(batch);
    if (errno !== 0) return errno;
    if (durable !== undefined) return await durable;
  }
  return 0;
}

/** Ranges of the arena that the kernel still holds after this batch; those of slots are none of the lease's. */
export function holdTimedOut(batch: IoBatch, lease: ScratchLease): void {
  for (let i = 0; i < batch.count; i++) {
    if (ioResult(batch, i) !== -ERRNO.ETIMEDOUT) continue;
    const at = i * IO_WORDS;
    if (batch.words[at] === IO_OP.sync || batch.uwords[at + 3] !== 0) continue;
    lease.hold(batch.uwords[at + 7]! * 2 ** 32 + batch.uwords[at + 6]!, batch.uwords[at + 8]!);
  }
}
