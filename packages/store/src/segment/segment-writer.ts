import {
  type BlockIO,
  type Clock,
  COMMIT_ROW_WORDS,
  type Directory,
  type FileId,
  IO_FLAG,
  IO_OP,
  IO_WORDS,
  invariant,
  type NamespaceRecord,
  PAGE_BYTES,
  pushIo,
  RefillError,
  type SegmentRecord,
  setIoKey,
} from '@refill/interface';
import { fillCommitRow } from '../fill-rows.ts';
import type { SharedTierCounters } from '../shared-tier.ts';
import { encodeBatchHeader } from './batch-header.ts';
import { type BatchPlan, placePlan } from './batch-plan.ts';
import { ERRNO } from './errno.ts';
import { FooterIndex } from './footer.ts';
import { type IoBatches, ioFailure } from './io-batches.ts';
import type { ScratchLease } from './scratch-lease.ts';
import { pagesUp } from './segment-bytes.ts';
import { ENTRY, ENTRY_WORDS, SEGMENT_BLOCKS_MAX } from './segment-format.ts';
import { encodeSegmentHeader } from './segment-header.ts';
import { SegmentSync } from './segment-sync.ts';
import type { WriteGate } from './write-gate.ts';
import { type WritePiece, writeDurably, writeUnsynced } from './write-run.ts';

export interface WriterParts {
  io: BlockIO;
  directory: Directory;
  clock: Clock;
  lease: ScratchLease;
  gate: WriteGate;
  batches: IoBatches;
  counters: SharedTierCounters;
}

export interface WriterIdentity {
  node: string;
  epoch: number;
  writeDeadlineMs: number;
}

/** What became of a batch: durable and in the directory, or the errno that ended its segment. */
export type AppendOutcome =
  | { accepted: Uint8Array }
  | { errno: number; fenced: boolean; cause?: RefillError };

/**
 * The one writer of one segment (rules R1 and R3). Batches are placed one behind the other and may be in flight
 * together; they become visible in their order, so that a scan that stops at a torn batch has passed everything that
 * was ever acknowledged.
 *
 * Order of an append, and what a crash leaves behind each step:
 * 1. checksums over the payloads                     nothing
 * 2. header and payloads, one vectored run           an unreferenced batch, perhaps torn: the end of any scan
 * 3. fdatasync, shared, and that of every batch before  a whole batch, committed by recovery
 * 4. directory.commit                                the blocks, visible
 * 5. acknowledgement
 * Any error abandons the segment: nothing is written again, no sync is tried again.
 *
 * The checksums come first, in a hop of their own (some 35 GB/s), because the header holds them: so header and
 * payloads leave as one run with one sync. Writing payloads with the checksum flag and the header after them would
 * cost the same pass over memory, and a second trip to the device.
 */
export class SegmentWriter {
  readonly record: SegmentRecord;
  readonly #parts: WriterParts;
  readonly #identity: WriterIdentity;
  readonly #namespace: NamespaceRecord;
  readonly #file: FileId;
  readonly #sync: SegmentSync;
  readonly index: FooterIndex = new FooterIndex();
  #offset = PAGE_BYTES;
  #headerWritten = false;
  #syncedBytes = 0;
  #committedBytes = 0;
  #inFlight = 0;
  #failed = false;
  /** Settles when the batch before is durable; false when the segment has failed. */
  #before: Promise<boolean> = Promise.resolve(true);
  #onIdle: (() => void)[] = [];

  constructor(
    parts: WriterParts,
    identity: WriterIdentity,
    namespace: NamespaceRecord,
    record: SegmentRecord,
    file: FileId,
  ) {
    this.#parts = parts;
    this.#identity = identity;
    this.#namespace = namespace;
    this.record = record;
    this.#file = file;
    this.#sync = new SegmentSync(parts, file, identity.writeDeadlineMs);
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Payload bytes, in whole pages, that a batch of `blocks` may still bring, with room left for the footer. */
  roomBytes(blocks: number, headerBytes: number): number {
    if (this.index.blocks + this.#placedBlocks + blocks > SEGMENT_BLOCKS_MAX) return 0;
    const reserve = this.index.reserveBytes(this.#placedBlocks + blocks);
    return Math.max(0, this.record.sizeBytes - this.#offset - headerBytes - reserve);
  }
  /** Blocks placed and not yet in the index. */
  #placedBlocks = 0;

  /** Nothing more becomes visible through it: batches in flight fail, `finish` closes it as `abandoned`. */
  abandon(): void {
    this.#failed = true;
  }

  /** Appends a batch. `sequence` is the next of this incarnation. Never rejects. */
  async append(plan: BatchPlan, sequence: number): Promise<AppendOutcome> {
    const offset = this.#offset;
    placePlan(plan, offset);
    this.#offset += plan.totalBytes;
    invariant(this.#offset < this.record.sizeBytes, 'a batch stays within its segment');
    this.#placedBlocks += plan.blocks;
    this.#inFlight++;
    const withHeader = !this.#headerWritten;
    this.#headerWritten = true;
    const before = this.#before;
    const written = this.#write(plan, sequence, offset, withHeader);
    const durable = Promise.all([before, written]).then(([ok, errno]) => ok && errno === 0 && !this.#failed);
    this.#before = durable;
    try {
      const errno = await written;
      if (!(await durable)) {
        this.#failed = true;
        return { errno: errno === 0 ? ERRNO.EIO : errno, fenced: false };
      }
      this.#syncedBytes = offset + plan.totalBytes;
      this.index.add(sequence, offset, plan.totalBytes, plan.blocks, plan.entries);
      this.#placedBlocks -= plan.blocks;
      return await this.#publish(plan);
    } finally {
      this.#inFlight--;
      if (this.#inFlight === 0) for (const wake of this.#onIdle.splice(0)) wake();
    }
  }

  /** Nothing more is appended: closes the segment as `sealed`, or as `abandoned` when anything failed. */
  async finish(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    const { directory, counters } = this.#parts;
    const sealed = !this.#failed && (await this.#writeFooter());
    try {
      if (sealed) {
        await directory.moveSegment(this.record.index, 'open', 'sealed', this.index.endBytes);
      } else {
        counters.segmentsAbandoned++;
        await directory.moveSegment(this.record.index, 'open', 'abandoned', this.#committedBytes);
      }
    } catch {
      // It stays open in the directory; the next recovery of this node closes it.
      counters.writeFailures++;
    } finally {
      this.#parts.io.close(this.#file);
    }
  }

  async #write(plan: BatchPlan, sequence: number, offset: number, withHeader: boolean): Promise<number> {
    const { lease } = this.#parts;
    const { writeDeadlineMs } = this.#identity;
    const scratchBytes = plan.headerBytes + (withHeader ? PAGE_BYTES : 0);
    let place: { offset: number; bytes: Uint8Array } | undefined;
    try {
      place = await lease.take(scratchBytes, writeDeadlineMs);
      const errno = await this.#checksum(plan);
      if (errno !== 0) return errno;
      const headerFrom = scratchBytes - plan.headerBytes;
      if (withHeader) this.#encodeSegmentHeader(place.bytes.subarray(0, PAGE_BYTES));
      encodeBatchHeader(place.bytes.subarray(headerFrom, scratchBytes), {
        segmentId: this.record.id,
        namespaceId: this.#namespace.id,
        epoch: this.#identity.epoch,
        sequence,
        offset,
        totalBytes: plan.totalBytes,
        syncedBytes: this.#syncedBytes,
        blocks: plan.blocks,
        entries: plan.entries,
      });
      const pieces: WritePiece[] = [{ buffer: 0, bufferOffset: place.offset, lengthBytes: scratchBytes }];
      for (let i = 0; i < plan.blocks; i++) {
        const lengthBytes = plan.entries[i * ENTRY_WORDS + ENTRY.storedBytes]!;
        if (lengthBytes === 0) continue;
        pieces.push({ buffer: plan.buffers[i]!, bufferOffset: plan.bufferOffsets[i]!, lengthBytes });
      }
      const run = {
        file: this.#file,
        offset: offset - headerFrom,
        pieces,
        deadlineMs: writeDeadlineMs,
      };
      const failure = await writeDurably(this.#parts, run, this.#sync, this.#inFlight === 1);
      this.#parts.counters.batches++;
      this.#parts.counters.bytesWritten += plan.totalBytes + headerFrom;
      return failure;
    } catch (error) {
      return error instanceof RefillError ? (error.errno ?? ERRNO.EIO) : ERRNO.EIO;
    } finally {
      if (place !== undefined) lease.give(place.offset, scratchBytes);
    }
  }

  /** Checksums bound to where each payload will lie, into the entries. */
  async #checksum(plan: BatchPlan): Promise<number> {
    const { io, batches } = this.#parts;
    const batch = batches.take();
    const blockOf: number[] = [];
    for (let i = 0; i < plan.blocks; i++) {
      const at = i * ENTRY_WORDS;
      const storedBytes = plan.entries[at + ENTRY.storedBytes]!;
      if (storedBytes === 0) continue;
      const fileOffset = plan.entries[at + ENTRY.offsetPages]! * PAGE_BYTES;
      const index = pushIo(
        batch,
        IO_OP.checksum,
        IO_FLAG.checksum,
        this.#file,
        fileOffset,
        plan.buffers[i]!,
        plan.bufferOffsets[i]!,
        storedBytes,
      );
      setIoKey(batch, index, plan.entries, at + ENTRY.key);
      blockOf.push(i);
    }
    if (batch.count === 0) {
      batches.give(batch);
      return 0;
    }
    await io.submit(batch, { lane: 'write', deadlineMs: this.#identity.writeDeadlineMs });
    for (let index = 0; index < batch.count; index++) {
      const at = blockOf[index]! * ENTRY_WORDS;
      plan.entries[at + ENTRY.checksumLo] = batch.uwords[index * IO_WORDS + 10]!;
      plan.entries[at + ENTRY.checksumHi] = batch.uwords[index * IO_WORDS + 11]!;
    }
    const errno = ioFailure(batch);
    batches.give(batch);
    return errno;
  }

  async #publish(plan: BatchPlan): Promise<AppendOutcome> {
    const { directory } = this.#parts;
    const { node, epoch } = this.#identity;
    const accepted = new Uint8Array(plan.blocks);
    try {
      if (plan.pick.flags === 0) {
        // Not awaiting the directory's own disk: the batch is durable, and recovery commits it again after a crash.
        await directory.commit(node, epoch, this.#commitRows(plan), plan.blocks, accepted);
      } else {
        const keys = new Uint32Array(plan.blocks * 8);
        for (let i = 0; i < plan.blocks; i++) {
          keys.set(plan.entries.subarray(i * ENTRY_WORDS, i * ENTRY_WORDS + 8), i * 8);
        }
        const removed = await directory.remove(this.#namespace.index, keys, plan.blocks);
        accepted.fill(1, 0, removed);
      }
      this.#committedBytes = this.#syncedBytes;
      return { accepted };
    } catch (error) {
      this.#failed = true;
      if (!(error instanceof RefillError)) return { errno: ERRNO.EIO, fenced: false };
      return { errno: ERRNO.EIO, fenced: error.code === 'ERR_FENCED', cause: error };
    }
  }

  #commitRows(plan: BatchPlan): Uint32Array {
    const rows = new Uint32Array(plan.blocks * COMMIT_ROW_WORDS);
    for (let i = 0; i < plan.blocks; i++) {
      fillCommitRow(rows, i, plan.entries, i, this.#namespace.index, this.record.index);
    }
    return rows;
  }

  #encodeSegmentHeader(page: Uint8Array): void {
    encodeSegmentHeader(page, {
      segmentId: this.record.id,
      namespaceId: this.#namespace.id,
      epoch: this.#identity.epoch,
      createdMs: this.#parts.clock.wallMs(),
      sizeBytes: this.record.sizeBytes,
      node: this.#identity.node,
      fingerprint: this.#namespace.fingerprint,
      policy: this.#namespace.policy,
    });
  }

  /** Footer and trailer, then one sync. A crash before it leaves a segment that is scanned by its batch headers. */
  async #writeFooter(): Promise<boolean> {
    if (this.index.batches === 0) return false;
    const { epoch } = this.#identity;
    const identity = { segmentId: this.record.id, namespaceId: this.#namespace.id, epoch };
    const { footer, trailer } = await this.index.encode(identity, this.record.sizeBytes);
    let errno = 0;
    // By pieces: a footer of megabytes must not need that much scratch memory at once.
    const pieceBytes = 16 * PAGE_BYTES;
    try {
      for (let from = 0; from < footer.length && errno === 0; from += pieceBytes) {
        const part = footer.subarray(from, from + pieceBytes);
        errno = await this.#writeScratch(this.index.endBytes + from, part, false);
      }
      if (errno === 0) {
        errno = await this.#writeScratch(this.record.sizeBytes - PAGE_BYTES, trailer, true);
      }
    } catch {
      errno = ERRNO.EIO;
    }
    if (errno !== 0) this.#parts.counters.writeFailures++;
    return errno === 0;
  }

  async #writeScratch(offset: number, bytes: Uint8Array, durable: boolean): Promise<number> {
    const { lease } = this.#parts;
    const { writeDeadlineMs: deadlineMs } = this.#identity;
    const place = await lease.take(pagesUp(bytes.length), deadlineMs);
    try {
      place.bytes.fill(0, 0, pagesUp(bytes.length));
      place.bytes.set(bytes);
      const pieces = [{ buffer: 0, bufferOffset: place.offset, lengthBytes: bytes.length }];
      const run = { file: this.#file, offset, pieces, deadlineMs };
      if (!durable) return await writeUnsynced(this.#parts, run);
      return await writeDurably(this.#parts, run, this.#sync, true);
    } finally {
      lease.give(place.offset, pagesUp(bytes.length));
    }
  }
}
