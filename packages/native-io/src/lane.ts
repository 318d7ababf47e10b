import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { IoBatch } from '@refill/interface';
import { IO_PENDING, IO_WORDS, invariant, RefillError } from '@refill/interface';
import { Piscina } from 'piscina';
import { storageError } from './errors.ts';
import { native } from './native.ts';
import { freeSlot, takeSlot } from './slots.ts';
import type { LaneTask } from './worker.ts';

/** Batches a lane holds at once, running or queued. */
const BATCHES_MAX = 4096;

export interface LaneOptions {
  instance: number;
  lane: 'read' | 'write';
  workers: number;
  inflightBytes: number;
  inflightBytesBehindReads: number;
}

/** A batch that native code has. Holding it here keeps its words alive. */
interface Held {
  batch: IoBatch;
  timer: NodeJS.Timeout;
  /** Ends the wait: whether the batch expired in the queue, or the error of its lane. */
  end(outcome: boolean | Error): void;
}

/**
 * The workers of one lane, each with its own ring. Batches wait in a native queue that busy workers take from; a
 * worker is called by a message only when none waits at that queue.
 */
export class Lane {
  readonly #pool: Piscina<LaneTask, void>;
  readonly #options: LaneOptions;
  readonly #lane: number;
  readonly #held = new Map<number, Held>();
  /** Workers that were called to the queue. */
  readonly #called = new Set<Promise<void>>();
  readonly #sweeps = new Set<Promise<unknown>>();
  #emptied: (() => void) | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#lane = options.lane === 'read' ? 0 : 1;
    this.#pool = new Piscina<LaneTask, void>({
      filename: fileURLToPath(new URL('./worker.js', import.meta.url)),
      minThreads: options.workers,
      maxThreads: options.workers,
      // Beside the call to the queue, a sweep.
      concurrentTasksPerWorker: 2,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'async',
      recordTiming: false,
      // Whatever loaders and hooks the process runs under, by its line or NODE_OPTIONS, a worker needs none of them,
      // and each costs its start.
      execArgv: [],
      env: {},
    });
  }

  /**
   * Resolves when the worker is done with the batch, or at its deadline when no worker had begun. Returns whether
   * the batch expired in the queue.
   */
  run(batch: IoBatch, deadlineMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.#held.size >= BATCHES_MAX) {
        const { lane } = this.#options;
        reject(new RefillError('ERR_LIMIT', `more than ${BATCHES_MAX} batches wait on the ${lane} lane`));
        return;
      }
      const slot = takeSlot((status) => this.#settle(slot, status));
      const end = (outcome: boolean | Error): void => {
        if (typeof outcome === 'boolean') resolve(outcome);
        else reject(outcome);
      };
      const timer = setTimeout(() => this.#expire(slot), deadlineMs);
      this.#held.set(slot, { batch, timer, end });
      const { instance } = this.#options;
      const startedMicros = native.nowMicros();
      const deadlineMicros = startedMicros + deadlineMs * 1000;
      const { words, count } = batch;
      if (!native.enqueue(instance, this.#lane, words, count, slot, startedMicros, deadlineMicros))
        this.#call();
    });
  }

  /** Lets every worker take late answers and let go of what was closed. */
  async sweep(): Promise<void> {
    const task = this.#task('sweep');
    const each = Array.from({ length: this.#options.workers }, () => this.#pool.run(task));
    const swept = Promise.allSettled(each);
    this.#sweeps.add(swept);
    await swept;
    this.#sweeps.delete(swept);
  }

  /** Waits for what runs (bounded by its deadlines), then ends the workers. */
  async stop(): Promise<void> {
    if (this.#held.size > 0) {
      await new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
    }
    // A worker ended with its answer on the way makes piscina throw where nobody can catch it.
    await Promise.allSettled([...this.#called, ...this.#sweeps]);
    await this.#pool.destroy();
  }

  /** Calls one more worker to the queue, unless all are there. */
  #call(): void {
    if (this.#called.size >= this.#options.workers) return;
    const called = this.#pool.run(this.#task('batches')).then(
      () => {
        this.#called.delete(called);
        // One that came while the last worker left had nobody to take it.
        if (native.batchesWait(this.#options.instance, this.#lane)) this.#call();
      },
      (error: Error) => {
        this.#called.delete(called);
        this.#failQueued(error);
      },
    );
    this.#called.add(called);
  }

  #settle(slot: number, status: number): void {
    const { lane } = this.#options;
    this.#end(slot, status < 0 ? storageError(`the ring of a ${lane} worker`, -status) : false);
  }

  #expire(slot: number): void {
    if (!native.withdraw(this.#options.instance, this.#lane, slot)) return;
    freeSlot(slot);
    const { batch } = this.#held.get(slot)!;
    for (let at = 9; at < batch.count * IO_WORDS; at += IO_WORDS) {
      invariant(batch.words[at] === IO_PENDING, 'a batch in the queue is untouched');
      batch.words[at] = -constants.errno.ETIMEDOUT;
    }
    this.#end(slot, true);
  }

  #failQueued(error: Error): void {
    for (const slot of [...this.#held.keys()]) {
      if (!native.withdraw(this.#options.instance, this.#lane, slot)) continue;
      freeSlot(slot);
      this.#end(slot, error);
    }
  }

  #end(slot: number, outcome: boolean | Error): void {
    const held = this.#held.get(slot);
    invariant(held !== undefined, 'a batch ends once');
    this.#held.delete(slot);
    clearTimeout(held.timer);
    held.end(outcome);
    if (this.#held.size === 0) this.#emptied?.();
  }

  #task(kind: LaneTask['kind']): LaneTask {
    const { instance, inflightBytes, inflightBytesBehindReads } = this.#options;
    return { kind, instance, lane: this.#lane, inflightBytes, inflightBytesBehindReads };
  }
}
