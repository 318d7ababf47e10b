import { BLOCK_FLAG, type BlockIO, type Clock } from '@refill/interface';
import { mappedBytes } from '../arena/mapped-bytes.ts';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS, type SharedTierCounters } from '../shared-tier.ts';
import { expandPayload, splitOf } from './compress.ts';
import { ERRNO, errnoOf, isGone } from './errno.ts';
import { diskOrder, type LoadRequest, segmentAt, settleLoad } from './load-request.ts';
import type { FileUse, OpenFiles } from './open-files.ts';
import type { ReadPressure } from './read-pressure.ts';
import { ReadScheduler, type ReadSchedulerOptions } from './read-scheduler.ts';
import type { SegmentDirectory } from './segment-directory.ts';

/**
 * Pauses before another try of bytes that did not verify. Shared file systems show stale bytes for 2 to 3 ms after
 * a publish (MooseFS), so three tries with growing pauses tell a late byte from a wrong one.
 */
const RETRY_PAUSES_MS = [1, 4, 16] as const;

/** Bit of a position's retry count: its file was opened anew already. */
const REOPENED = 0x80;

/**
 * Reads blocks: sorts them by place, opens what is not open, gives them to the scheduler and decides on what comes
 * back. Nothing is allocated for a block on the straight path, a few arrays for a request.
 */
export class SegmentReader {
  readonly #io: BlockIO;
  readonly #directory: SegmentDirectory;
  readonly #clock: Clock;
  readonly #files: OpenFiles;
  readonly #counters: SharedTierCounters;
  readonly #scheduler: ReadScheduler;
  readonly #retryPausesMs: readonly number[];

  constructor(
    parts: {
      io: BlockIO;
      directory: SegmentDirectory;
      clock: Clock;
      files: OpenFiles;
      pressure: ReadPressure;
      counters: SharedTierCounters;
    },
    options: ReadSchedulerOptions & { retryPausesMs?: readonly number[] | undefined },
  ) {
    this.#io = parts.io;
    this.#directory = parts.directory;
    this.#clock = parts.clock;
    this.#files = parts.files;
    this.#counters = parts.counters;
    this.#retryPausesMs = options.retryPausesMs ?? RETRY_PAUSES_MS;
    this.#scheduler = new ReadScheduler(parts, options, {
      onDone: (request, position, result) => this.#decide(request, position, result),
      onExpired: (request, position) => this.#expire(request, position),
    });
  }

  load(rows: Uint32Array, count: number, deadlineMs: number): Promise<void> {
    if (count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const request: LoadRequest = {
        rows,
        order: diskOrder(rows, count),
        files: new Int32Array(count),
        uses: [],
        deadlineAtMs: this.#clock.nowMs() + deadlineMs,
        retries: undefined,
        remaining: count,
        resolve,
      };
      for (let i = 0; i < count; i++) {
        rows[i * LOAD_ROW_WORDS + LOAD_ROW.status] = LOAD_STATUS.pending;
        this.#counters.payloadBytesRead += rows[i * LOAD_ROW_WORDS + LOAD_ROW.lengthBytes]!;
      }
      this.#openAll(request);
    });
  }

  /** Ends what waits; what is in the kernel's hands ends by its own deadline. */
  stop(): void {
    this.#scheduler.stop();
  }

  /** Cuts the request into spans of one segment; those whose file is open leave at once, together. */
  #openAll(request: LoadRequest): void {
    const count = request.order.length;
    let readyFrom = 0;
    for (let from = 0; from < count; ) {
      const segment = segmentAt(request, from);
      let to = from + 1;
      while (to < count && segmentAt(request, to) === segment) to++;
      const use = this.#files.tryUse(segment);
      if (use === undefined) {
        if (from > readyFrom) this.#scheduler.add({ request, from: readyFrom, to: from });
        readyFrom = to;
        void this.#openOne(request, from, to);
      } else {
        request.uses.push(use);
        request.files.fill(use.file, from, to);
      }
      from = to;
    }
    if (count > readyFrom) this.#scheduler.add({ request, from: readyFrom, to: count });
  }

  async #openOne(request: LoadRequest, from: number, to: number): Promise<void> {
    let use: FileUse;
    try {
      use = await this.#files.use(segmentAt(request, from), this.#remainingMs(request));
    } catch (error) {
      const errno = errnoOf(error);
      for (let position = from; position < to; position++) {
        if (isGone(errno)) this.#lose(request, position, LOAD_STATUS.gone);
        else if (errno === ERRNO.ETIMEDOUT) this.#expire(request, position);
        else this.#finish(request, position, LOAD_STATUS.failed);
      }
      return;
    }
    request.uses.push(use);
    request.files.fill(use.file, from, to);
    this.#scheduler.add({ request, from, to });
  }

  #remainingMs(request: LoadRequest): number {
    return Math.max(1, request.deadlineAtMs - this.#clock.nowMs());
  }

  #decide(request: LoadRequest, position: number, result: number): void {
    const at = request.order[position]! * LOAD_ROW_WORDS;
    if (result >= request.rows[at + LOAD_ROW.storedBytes]!) {
      if ((request.rows[at + LOAD_ROW.flags]! & BLOCK_FLAG.compressed) === 0) {
        this.#finish(request, position, LOAD_STATUS.done);
      } else {
        void this.#expand(request, position, at);
      }
      return;
    }
    const errno = result >= 0 ? ERRNO.EBADMSG : -result;
    if (errno === ERRNO.ETIMEDOUT) {
      // The kernel still holds the memory; the engine says when it lets go.
      this.#counters.late++;
      this.#finish(request, position, LOAD_STATUS.late);
    } else if (request.rows[at + LOAD_ROW.sourceBuffer] !== 0) {
      // The source's owner changed it meanwhile, or it is gone: the segment has the block.
      request.rows[at + LOAD_ROW.sourceBuffer] = 0;
      this.#scheduler.add({ request, from: position, to: position + 1 });
    } else if (isGone(errno)) {
      void this.#reopen(request, position);
    } else if (errno === ERRNO.EBADMSG || errno === ERRNO.EIO) {
      this.#retry(request, position, errno, result >= 0);
    } else {
      this.#finish(request, position, LOAD_STATUS.failed);
    }
  }

  #retry(request: LoadRequest, position: number, errno: number, isShort: boolean): void {
    request.retries ??= new Uint8Array(request.order.length);
    const pauseMs = this.#retryPausesMs[request.retries[position]! & ~REOPENED];
    if (pauseMs === undefined) {
      if (errno === ERRNO.EBADMSG) this.#lose(request, position, LOAD_STATUS.corrupt, isShort);
      else this.#finish(request, position, LOAD_STATUS.failed);
      return;
    }
    if (this.#clock.nowMs() + pauseMs >= request.deadlineAtMs) {
      this.#expire(request, position);
      return;
    }
    request.retries[position]!++;
    this.#counters.retries++;
    this.#clock.after(pauseMs, () => this.#scheduler.add({ request, from: position, to: position + 1 }));
  }

  /** A file that was open is gone or stale: one fresh open, then the block is. */
  async #reopen(request: LoadRequest, position: number): Promise<void> {
    request.retries ??= new Uint8Array(request.order.length);
    if ((request.retries[position]! & REOPENED) !== 0) {
      this.#lose(request, position, LOAD_STATUS.gone);
      return;
    }
    request.retries[position]! |= REOPENED;
    this.#counters.retries++;
    const segment = segmentAt(request, position);
    const file = request.files[position];
    if (request.uses.some((use) => use.file === file && !use.dropped)) this.#files.drop(segment);
    await this.#openOne(request, position, position + 1);
  }

  async #expand(request: LoadRequest, position: number, at: number): Promise<void> {
    const { rows } = request;
    const lengthBytes = rows[at + LOAD_ROW.lengthBytes]!;
    const offset = rows[at + LOAD_ROW.bufferOffsetHi]! * 2 ** 32 + rows[at + LOAD_ROW.bufferOffsetLo]!;
    const target = mappedBytes(this.#io, rows[at + LOAD_ROW.buffer]!, offset, lengthBytes);
    const stored = target.subarray(0, rows[at + LOAD_ROW.storedBytes]!);
    const dtype = this.#directory.namespace(rows[at + LOAD_ROW.namespace]!)?.fingerprint.dtype ?? '';
    if (await expandPayload(stored, target, splitOf(dtype)))
      this.#finish(request, position, LOAD_STATUS.done);
    else this.#lose(request, position, LOAD_STATUS.corrupt);
  }

  /** Its deadline passed while it waited: nothing holds its memory, which is said like for any late one. */
  #expire(request: LoadRequest, position: number): void {
    const { rows } = request;
    const at = request.order[position]! * LOAD_ROW_WORDS;
    const buffer = rows[at + LOAD_ROW.buffer]!;
    const offset = rows[at + LOAD_ROW.bufferOffsetHi]! * 2 ** 32 + rows[at + LOAD_ROW.bufferOffsetLo]!;
    const stored = rows[at + LOAD_ROW.storedBytes]!;
    this.#counters.late++;
    this.#finish(request, position, LOAD_STATUS.late);
    this.#clock.after(1, () => this.#io.onRelease?.(buffer, offset, stored));
  }

  /**
   * The location is wrong: one that is corrupt leaves the directory, if it is still this one, one that is gone as far as
   * this node may say that (`removeGone`). The answer waits for that.
   */
  #lose(
    request: LoadRequest,
    position: number,
    status: typeof LOAD_STATUS.corrupt | typeof LOAD_STATUS.gone,
    isShort = false,
  ): void {
    const { rows } = request;
    const at = request.order[position]! * LOAD_ROW_WORDS;
    if (status === LOAD_STATUS.corrupt) this.#counters.corrupt++;
    else this.#counters.gone++;
    const finish = () => this.#finish(request, position, status);
    const location = [
      rows[at + LOAD_ROW.namespace]!,
      rows.slice(at + LOAD_ROW.key, at + LOAD_ROW.key + 8),
      rows[at + LOAD_ROW.segment]!,
      rows[at + LOAD_ROW.offsetPages]!,
    ] as const;
    const { removeAt, removeGone } = this.#directory;
    // A size that shows late is as little proof as a name that does.
    const remove = status === LOAD_STATUS.gone || isShort ? removeGone : removeAt;
    remove.call(this.#directory, ...location).then(finish, finish);
  }

  #finish(
    request: LoadRequest,
    position: number,
    status: (typeof LOAD_STATUS)[keyof typeof LOAD_STATUS],
  ): void {
    if (!settleLoad(request, position, status)) return;
    for (const use of request.uses) this.#files.release(use);
    request.resolve();
  }
}
