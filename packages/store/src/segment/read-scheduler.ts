import {
  type BlockIO,
  type Clock,
  createIoBatch,
  IO_FLAG,
  IO_OP,
  type IoBatch,
  invariant,
  PAGE_BYTES,
  pushIo,
  type SubmitOptions,
  setIoCopySource,
  setIoKey,
} from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS, type SharedTierCounters } from '../shared-tier.ts';
import { ioResult } from './io-batches.ts';
import type { LoadRequest, ReadSpan } from './load-request.ts';
import type { ReadPressure } from './read-pressure.ts';
import { pagesUp } from './segment-bytes.ts';

export interface ReadSchedulerOptions {
  /** Tasks handed to the engine at once, running or next in line: a worker that finds none lets the disk idle. */
  tasksMax: number;
  /** Bytes of one task; a longer block is a task of its own. */
  taskBytes: number;
  /** Bytes of all of these tasks. How many of them the device gets at a time is the engine's own budget. */
  inFlightBytes: number;
}

const TASK_OPS = 256;

/** One hop to a worker: operations of one or more requests, and where each came from. */
interface ReadTask {
  readonly batch: IoBatch;
  readonly requests: LoadRequest[];
  readonly positions: Int32Array;
  readonly options: SubmitOptions;
  bytes: number;
  readonly settle: () => void;
}

/**
 * Keeps the engine supplied. Requests that arrive while it has enough wait and leave together in the next task: the
 * busier the node, the fewer hops a block costs.
 */
export class ReadScheduler {
  readonly #io: BlockIO;
  readonly #clock: Clock;
  readonly #pressure: ReadPressure;
  readonly #counters: SharedTierCounters;
  readonly #options: ReadSchedulerOptions;
  readonly #onDone: (request: LoadRequest, position: number, result: number) => void;
  readonly #onExpired: (request: LoadRequest, position: number) => void;
  readonly #idle: ReadTask[] = [];
  #queue: ReadSpan[] = [];
  #tasksInFlight = 0;
  #bytesInFlight = 0;
  #cancelExpiry: (() => void) | undefined;

  constructor(
    parts: { io: BlockIO; clock: Clock; pressure: ReadPressure; counters: SharedTierCounters },
    options: ReadSchedulerOptions,
    handlers: {
      /** An operation is done; `result` is bytes or minus errno. */
      onDone: (request: LoadRequest, position: number, result: number) => void;
      /** Its deadline passed before it was given to the kernel. */
      onExpired: (request: LoadRequest, position: number) => void;
    },
  ) {
    this.#io = parts.io;
    this.#clock = parts.clock;
    this.#pressure = parts.pressure;
    this.#counters = parts.counters;
    this.#options = options;
    this.#onDone = handlers.onDone;
    this.#onExpired = handlers.onExpired;
  }

  add(span: ReadSpan): void {
    this.#pressure.enter();
    this.#queue.push(span);
    this.#pump();
  }

  #pump(): void {
    while (
      this.#queue.length > 0 &&
      this.#tasksInFlight < this.#options.tasksMax &&
      this.#bytesInFlight < this.#options.inFlightBytes
    ) {
      this.#start(this.#fill());
    }
    if (this.#queue.length > 0 && this.#cancelExpiry === undefined) this.#armExpiry();
  }

  /** Takes blocks off the queue in order until the task is full. Neighbours become one vectored read. */
  #fill(): ReadTask {
    const task = this.#idle.pop() ?? this.#createTask();
    const { batch } = task;
    const nowMs = this.#clock.nowMs();
    const taskDeadlineMs = this.#queue[0]!.request.deadlineAtMs - nowMs;
    let leastMs = taskDeadlineMs;
    let taken = 0;
    let fileBefore = -1;
    let endBefore = -1;
    for (const span of this.#queue) {
      const { request } = span;
      const remainingMs = request.deadlineAtMs - nowMs;
      // One task has one deadline: only requests whose deadlines are alike share it.
      // The first always does: none may be left out for a deadline that passed while the process did not run.
      if (Math.abs(remainingMs - taskDeadlineMs) > 10 + Math.max(0, taskDeadlineMs) / 4) break;
      leastMs = Math.min(leastMs, remainingMs);
      const { rows, order, files } = request;
      while (span.from < span.to) {
        const position = span.from;
        const at = order[position]! * LOAD_ROW_WORDS;
        const stored = rows[at + LOAD_ROW.storedBytes]!;
        if (
          task.batch.count === TASK_OPS ||
          (task.bytes > 0 && task.bytes + stored > this.#options.taskBytes)
        )
          break;
        const file = files[position]!;
        const fileOffset = rows[at + LOAD_ROW.offsetPages]! * PAGE_BYTES;
        const sourceBuffer = rows[at + LOAD_ROW.sourceBuffer]!;
        const adjacent = sourceBuffer === 0 && file === fileBefore && fileOffset === endBefore;
        const index = pushIo(
          batch,
          sourceBuffer === 0 ? IO_OP.read : IO_OP.copy,
          adjacent ? IO_FLAG.verify | IO_FLAG.adjacent : IO_FLAG.verify,
          file,
          fileOffset,
          rows[at + LOAD_ROW.buffer]!,
          rows[at + LOAD_ROW.bufferOffsetHi]! * 2 ** 32 + rows[at + LOAD_ROW.bufferOffsetLo]!,
          stored,
          rows[at + LOAD_ROW.checksumLo]!,
          rows[at + LOAD_ROW.checksumHi]!,
        );
        setIoKey(batch, index, rows, at + LOAD_ROW.key);
        task.requests[index] = request;
        task.positions[index] = position;
        const moved = pagesUp(stored);
        task.bytes += moved;
        if (sourceBuffer === 0) {
          this.#counters.deviceBytesRead += moved;
          if (!adjacent) this.#counters.runs++;
          fileBefore = file;
          endBefore = fileOffset + moved;
        } else {
          const sourceOffset =
            rows[at + LOAD_ROW.sourceOffsetHi]! * 2 ** 32 + rows[at + LOAD_ROW.sourceOffsetLo]!;
          setIoCopySource(batch, index, sourceBuffer, sourceOffset);
          fileBefore = -1;
        }
        span.from++;
      }
      if (span.from < span.to) break;
      taken++;
      this.#pressure.leave();
    }
    if (taken > 0) this.#queue.splice(0, taken);
    invariant(batch.count > 0, 'a task carries an operation');
    task.options.deadlineMs = Math.max(1, leastMs);
    return task;
  }

  #start(task: ReadTask): void {
    this.#tasksInFlight++;
    this.#bytesInFlight += task.bytes;
    this.#pressure.enter();
    this.#io.submit(task.batch, task.options).then(task.settle, task.settle);
  }

  #settle(task: ReadTask): void {
    this.#tasksInFlight--;
    this.#bytesInFlight -= task.bytes;
    this.#pressure.leave();
    const { batch, requests, positions } = task;
    const { count } = batch;
    for (let i = 0; i < count; i++) this.#onDone(requests[i]!, positions[i]!, ioResult(batch, i));
    batch.count = 0;
    task.bytes = 0;
    requests.length = 0;
    this.#idle.push(task);
    this.#pump();
  }

  #createTask(): ReadTask {
    const task: ReadTask = {
      batch: createIoBatch(TASK_OPS),
      requests: [],
      positions: new Int32Array(TASK_OPS),
      options: { lane: 'read', deadlineMs: 0 },
      bytes: 0,
      settle: () => this.#settle(task),
    };
    return task;
  }

  /** All tasks may hang until their own deadlines; those that wait behind them end at theirs. */
  #armExpiry(): void {
    const earliest = this.#queue.reduce(
      (least, span) => Math.min(least, span.request.deadlineAtMs),
      Infinity,
    );
    this.#cancelExpiry = this.#clock.after(Math.max(0, earliest - this.#clock.nowMs()), () => {
      this.#cancelExpiry = undefined;
      const nowMs = this.#clock.nowMs();
      const expired = this.#queue.filter((span) => span.request.deadlineAtMs <= nowMs);
      this.#queue = this.#queue.filter((span) => span.request.deadlineAtMs > nowMs);
      for (const span of expired) {
        this.#pressure.leave();
        for (let position = span.from; position < span.to; position++)
          this.#onExpired(span.request, position);
      }
      this.#pump();
    });
  }

  /** Ends every wait in the queue, for `stop`. */
  stop(): void {
    this.#cancelExpiry?.();
    this.#cancelExpiry = undefined;
    const queue = this.#queue;
    this.#queue = [];
    for (const span of queue) {
      this.#pressure.leave();
      for (let position = span.from; position < span.to; position++) this.#onExpired(span.request, position);
    }
  }
}
