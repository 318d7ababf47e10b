import {
  BATCH_BLOCKS_MAX,
  type Chance,
  type NamespaceRecord,
  PAGE_BYTES,
  PUT_STATUS,
  RefillError,
  SEGMENT_BYTES_MAX,
} from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
import { batchHeaderBytes } from './batch-header.ts';
import { type BatchPlan, compressPlan, planBatch } from './batch-plan.ts';
import { splitOf } from './compress.ts';
import { ERRNO, errnoOf, isFull } from './errno.ts';
import { fileIdentity } from './file-identity.ts';
import { FooterIndex } from './footer.ts';
import { lengthAt, type Pick, PutQueue, type StoreRequest, settleStore } from './put-queue.ts';
import { pagesUp, sameBytes } from './segment-bytes.ts';
import type { SegmentFolders } from './segment-folders.ts';
import { segmentPath } from './segment-path.ts';
import { SegmentWriter, type WriterIdentity, type WriterParts } from './segment-writer.ts';
import type { SpaceBackoff } from './space-backoff.ts';

export interface NamespaceWriterOptions extends WriterIdentity {
  segmentBytes: number;
  /** Payload bytes of one batch. */
  batchBytes: number;
  /** Batches of one namespace in flight. */
  batchesInFlight: number;
  /** How long work that nobody waits for may wait for company. */
  patienceMs: number;
  /** How long blocks wait for the next epoch when theirs is over; 0 where none comes. */
  fencedHoldMs: number;
}

export interface NamespaceWriterParts extends WriterParts {
  chance: Chance;
  scratch: Scratch;
  space: SpaceBackoff;
  folders: SegmentFolders;
  /** A segment was sealed or abandoned: some may hold nothing any more. */
  onSegmentClosed: () => void;
  /** The next sequence of this incarnation, over all namespaces. */
  nextSequence: () => number;
  /** The node's epoch is no longer the current one: nothing is written any more, and until when it is waited for another. */
  fencing: { fenced: boolean; heldUntilMs: number };
}

/** A block is written at most twice: once more into a new segment after the first failed. */
const ATTEMPTS_MAX = 2;

/**
 * Writes the blocks of one namespace: queues them, makes batches, keeps one segment open, rolls over to the next.
 * One loop decides; batches run beside it.
 */
export class NamespaceWriter {
  readonly #parts: NamespaceWriterParts;
  #options: NamespaceWriterOptions;
  readonly #namespace: NamespaceRecord;
  readonly #queue = new PutQueue();
  #segment: SegmentWriter | undefined;
  #inFlight = 0;
  #running = false;
  #flushing = 0;
  /** Said by the timer itself: timers may come a little before the clock says so. */
  #patienceOver = false;
  #cancelTimer: (() => void) | undefined;
  #cancelHold: (() => void) | undefined;
  #wake: (() => void) | undefined;
  readonly #finishing = new Set<Promise<void>>();
  #idleWaits: (() => void)[] = [];

  constructor(parts: NamespaceWriterParts, options: NamespaceWriterOptions, namespace: NamespaceRecord) {
    this.#parts = parts;
    this.#options = options;
    this.#namespace = namespace;
  }

  get idle(): boolean {
    return this.#queue.empty && this.#inFlight === 0 && !this.#running;
  }

  add(request: StoreRequest, rowIndexes: Uint32Array, urgent: boolean): void {
    for (const rowIndex of rowIndexes) this.#parts.counters.backlogBytes += lengthAt(request, rowIndex);
    this.#queue.add(request, rowIndexes, urgent);
    this.#start();
  }

  /**
   * Goes on under another epoch. The open segment takes nothing more, batches in flight included: they are written
   * again, to a segment of the new epoch.
   */
  adopt(options: NamespaceWriterOptions): void {
    this.#options = options;
    this.#cancelHold?.();
    this.#cancelHold = undefined;
    this.#segment?.abandon();
    this.#rollOver();
    this.#start();
  }

  /** Writes everything that waits, then seals the open segment. Settles when both are done. */
  async seal(): Promise<void> {
    this.#flushing++;
    this.#start();
    if (!this.idle) await new Promise<void>((resolve) => this.#idleWaits.push(resolve));
    this.#flushing--;
    this.#rollOver();
    await Promise.all(this.#finishing);
  }

  #start(): void {
    if (this.#running || this.#queue.empty) return;
    if (!this.#ready()) {
      this.#wait();
      return;
    }
    this.#running = true;
    void this.#run();
  }

  /** Work that somebody waits for goes at once, a full batch too; the rest when its patience ends. */
  #ready(): boolean {
    if (this.#isHeld) return false;
    return (
      this.#queue.urgent ||
      this.#flushing > 0 ||
      this.#queue.bytes >= this.#options.batchBytes ||
      this.#queue.blocks >= BATCH_BLOCKS_MAX ||
      this.#patienceOver
    );
  }

  /** Whether another epoch is waited for: blocks that met the fence are not lost while it may come. */
  get #isHeld(): boolean {
    const { clock, fencing } = this.#parts;
    return fencing.fenced && clock.nowMs() < fencing.heldUntilMs;
  }

  #wait(): void {
    if (this.#isHeld) this.#armHold();
    else this.#armTimer();
  }

  #armHold(): void {
    const { clock, fencing } = this.#parts;
    this.#cancelHold ??= clock.after(Math.max(1, fencing.heldUntilMs - clock.nowMs()), () => {
      this.#cancelHold = undefined;
      this.#start();
    });
  }

  #armTimer(): void {
    if (this.#cancelTimer !== undefined) return;
    this.#cancelTimer = this.#parts.clock.after(this.#options.patienceMs, () => {
      this.#cancelTimer = undefined;
      this.#patienceOver = true;
      this.#start();
    });
  }

  async #run(): Promise<void> {
    while (!this.#queue.empty && this.#ready()) {
      if (this.#inFlight >= this.#options.batchesInFlight) {
        // What is put meanwhile joins the next batch.
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      await this.#next();
    }
    this.#running = false;
    this.#patienceOver = false;
    if (!this.#queue.empty) this.#wait();
    this.#checkIdle();
  }

  /** Makes one batch and sends it off. */
  async #next(): Promise<void> {
    const { space, fencing } = this.#parts;
    if (this.#segment?.failed) this.#rollOver();
    const headerBytes = batchHeaderBytes(BATCH_BLOCKS_MAX);
    const room = this.#segment?.roomBytes(BATCH_BLOCKS_MAX, headerBytes);
    if (room !== undefined && room < Math.max(PAGE_BYTES, this.#queue.firstBytes)) {
      this.#rollOver();
      return;
    }
    const bytesMax = Math.max(
      Math.min(this.#options.batchBytes, room ?? this.#newSegmentRoom()),
      this.#queue.firstBytes,
    );
    const pick = this.#queue.take(BATCH_BLOCKS_MAX, bytesMax);
    if (pick === undefined) return;
    if (fencing.fenced || (this.#segment === undefined && space.blocked)) {
      this.#settleAll(pick, PUT_STATUS.failed);
      return;
    }
    const plan = planBatch(pick);
    const split = splitOf(this.#namespace.fingerprint.dtype);
    if (this.#namespace.policy.compress && split !== undefined && pick.flags === 0) {
      await compressPlan(plan, split, this.#parts);
      if (this.#segment?.failed) this.#rollOver();
    }
    if (this.#segment === undefined) {
      const { epoch } = this.#options;
      try {
        this.#segment = await this.#createSegment(plan);
      } catch (error) {
        const cause = error instanceof RefillError ? error : undefined;
        this.#fail(plan, { errno: errnoOf(error), fenced: cause?.code === 'ERR_FENCED', cause }, epoch);
        this.#freeScratch(plan);
        return;
      }
      if (epoch !== this.#options.epoch) {
        // The epoch changed meanwhile: this segment is of the one before.
        this.#segment.abandon();
        this.#rollOver();
        this.#fail(plan, { errno: ERRNO.ESTALE, fenced: false }, epoch);
        this.#freeScratch(plan);
        return;
      }
    }
    this.#inFlight++;
    void this.#append(this.#segment, plan);
  }

  async #append(segment: SegmentWriter, plan: BatchPlan): Promise<void> {
    const outcome = await segment.append(plan, this.#parts.nextSequence());
    this.#freeScratch(plan);
    if ('accepted' in outcome) {
      this.#parts.space.succeeded();
      this.#parts.counters.blocksWritten += plan.blocks;
      for (let i = 0; i < plan.blocks; i++) {
        this.#settle(plan.pick, i, outcome.accepted[i] === 1 ? PUT_STATUS.stored : PUT_STATUS.exists);
      }
    } else {
      if (this.#segment === segment) this.#rollOver();
      this.#fail(plan, outcome, segment.record.epoch);
    }
    this.#inFlight--;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
    this.#start();
    this.#checkIdle();
  }

  /** `epoch` is the one that it was tried under: that an earlier one is fenced off is no news. */
  #fail(
    { pick }: BatchPlan,
    { errno, fenced, cause }: { errno: number; fenced: boolean; cause?: RefillError | undefined },
    epoch: number,
  ): void {
    const { counters, fencing, space } = this.#parts;
    counters.writeFailures++;
    if (fenced && epoch === this.#options.epoch && !fencing.fenced) {
      fencing.fenced = true;
      fencing.heldUntilMs = this.#parts.clock.nowMs() + this.#options.fencedHoldMs;
    }
    if (isFull(errno)) space.full();
    if (this.#isHeld) {
      this.#queue.putBack(pick, pick.attempts);
      return;
    }
    if (!fencing.fenced && pick.attempts + 1 < ATTEMPTS_MAX) {
      this.#queue.putBack(pick);
      return;
    }
    if (cause?.code === 'ERR_METADATA_UNAVAILABLE')
      for (const request of pick.requests) request.failure = cause;
    this.#settleAll(pick, PUT_STATUS.failed);
  }

  /**
   * A new segment: an id never used before, its record durable in the directory, then its file. A crash between
   * leaves a record without a file, which recovery forgets. The header page goes out with the first batch.
   */
  async #createSegment(plan: BatchPlan): Promise<SegmentWriter> {
    const { io, directory, chance, folders } = this.#parts;
    const options = this.#options;
    const known = directory.namespace(this.#namespace.index);
    if (known === undefined || !sameBytes(known.id, this.#namespace.id)) {
      // The directory was made anew without this namespace: its index may become another's (K6).
      throw new RefillError('ERR_NAMESPACE_UNKNOWN', `namespace ${this.#namespace.index} is unknown`);
    }
    const { node, epoch, writeDeadlineMs } = options;
    const needed = pagesUp(PAGE_BYTES + plan.totalBytes + new FooterIndex().reserveBytes(plan.blocks));
    const sizeBytes = Math.min(SEGMENT_BYTES_MAX, Math.max(options.segmentBytes, needed));
    const id = chance.bytes(new Uint8Array(16));
    await folders.ensure(id, writeDeadlineMs);
    const record = await directory.createSegment({
      id,
      namespace: this.#namespace.index,
      node,
      epoch,
      sizeBytes,
    });
    try {
      const file = await io.open(segmentPath(id), {
        create: true,
        write: true,
        direct: true,
        sizeBytes,
        identity: fileIdentity({ segmentId: id, namespaceId: this.#namespace.id, epoch }),
        deadlineMs: writeDeadlineMs,
      });
      return new SegmentWriter(this.#parts, options, this.#namespace, record, file);
    } catch (error) {
      this.#parts.counters.segmentsAbandoned++;
      await directory.moveSegment(record.index, 'open', 'abandoned', 0).catch(() => false);
      throw error;
    }
  }

  #newSegmentRoom(): number {
    const reserve = new FooterIndex().reserveBytes(BATCH_BLOCKS_MAX) + batchHeaderBytes(BATCH_BLOCKS_MAX);
    return Math.max(PAGE_BYTES, this.#options.segmentBytes - PAGE_BYTES - reserve);
  }

  /** The open segment takes nothing more; it is sealed or abandoned beside the loop. */
  #rollOver(): void {
    const segment = this.#segment;
    if (segment === undefined) return;
    this.#segment = undefined;
    const finishing = segment.finish().finally(() => {
      this.#finishing.delete(finishing);
      this.#parts.onSegmentClosed();
    });
    this.#finishing.add(finishing);
  }

  #freeScratch(plan: BatchPlan): void {
    for (const { offset, lengthBytes } of plan.scratch) this.#parts.lease.give(offset, lengthBytes);
  }

  #settleAll(pick: Pick, status: (typeof PUT_STATUS)[keyof typeof PUT_STATUS]): void {
    for (let i = 0; i < pick.rowIndexes.length; i++) this.#settle(pick, i, status);
  }

  #settle(pick: Pick, index: number, status: (typeof PUT_STATUS)[keyof typeof PUT_STATUS]): void {
    const request = pick.requests[index]!;
    const rowIndex = pick.rowIndexes[index]!;
    this.#parts.counters.backlogBytes -= lengthAt(request, rowIndex);
    settleStore(request, rowIndex, status);
  }

  #checkIdle(): void {
    if (this.idle) for (const wake of this.#idleWaits.splice(0)) wake();
  }
}
