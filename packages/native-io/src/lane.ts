import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { IoBatch } from '@refill/interface';
import { IO_PENDING, IO_WORDS, invariant, RefillError } from '@refill/interface';
import { Piscina } from 'piscina';
import { storageError } from './errors.ts';
import { native } from './native.ts';
import type { LaneTask } from './worker.ts';
import { CLAIM } from './worker.ts';

/** Batches a lane holds at once, running or queued. */
const CLAIMS = 4096;
/** One batch runs, the next waits in the worker's own queue, so that the ring is not idle for a hop. */
const TASKS_PER_WORKER = 2;

export interface LaneOptions {
  instance: number;
  lane: 'read' | 'write';
  workers: number;
  inflightBytes: number;
  inflightBytesBehindReads: number;
}

/** The workers of one lane, each with its own ring. */
export class Lane {
  readonly #pool: Piscina<LaneTask, number>;
  readonly #options: LaneOptions;
  readonly #lane: number;
  readonly #claims = new Int32Array(new SharedArrayBuffer(CLAIMS * 4));
  readonly #spare: number[] = Array.from({ length: CLAIMS }, (_, slot) => slot);
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#lane = options.lane === 'read' ? 0 : 1;
    this.#pool = new Piscina<LaneTask, number>({
      filename: fileURLToPath(new URL('./worker.js', import.meta.url)),
      minThreads: options.workers,
      maxThreads: options.workers,
      concurrentTasksPerWorker: TASKS_PER_WORKER,
      maxQueue: CLAIMS,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'async',
      recordTiming: false,
      // Whatever loaders and hooks the process runs under, a worker needs none of them, and each costs its start.
      execArgv: [],
    });
  }

  /**
   * Resolves when the worker is done with the batch, or at its deadline when no worker had begun. Returns whether
   * the batch expired in the queue.
   */
  async run(batch: IoBatch, deadlineMs: number): Promise<boolean> {
    const slot = this.#spare.pop();
    if (slot === undefined) {
      throw new RefillError(
        'ERR_LIMIT',
        `more than ${CLAIMS} batches wait on the ${this.#options.lane} lane`,
      );
    }
    Atomics.store(this.#claims, slot, CLAIM.open);
    const startedMicros = native.nowMicros();
    const task = this.#task('batch', batch.words, batch.count, startedMicros, deadlineMs, slot);
    const running = this.#pool.run(task);
    this.#running.add(running);
    // The slot is free again only when the worker has seen the task, however late that is.
    const settled = running.then(
      (status) => {
        this.#running.delete(running);
        this.#spare.push(slot);
        return status;
      },
      (error: unknown) => {
        this.#running.delete(running);
        throw error;
      },
    );
    const status = await this.#orExpired(settled, batch, slot, deadlineMs);
    if (status === undefined) return true;
    if (status < 0) throw storageError(`the ring of a ${this.#options.lane} worker`, -status);
    return false;
  }

  /** Lets every worker take late answers and let go of what was closed. */
  async sweep(): Promise<void> {
    const task = this.#task('sweep', this.#claims, 0, 0, 0, 0);
    const each = Array.from({ length: this.#options.workers }, () => this.#pool.run(task));
    await Promise.allSettled(each);
  }

  /** Waits for what runs (bounded by its deadlines), then ends the workers. */
  async stop(): Promise<void> {
    await Promise.allSettled([...this.#running]);
    await this.#pool.destroy();
  }

  #orExpired(
    settled: Promise<number>,
    batch: IoBatch,
    slot: number,
    deadlineMs: number,
  ): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        if (Atomics.compareExchange(this.#claims, slot, CLAIM.open, CLAIM.expired) !== CLAIM.open) return;
        for (let at = 9; at < batch.count * IO_WORDS; at += IO_WORDS) {
          invariant(batch.words[at] === IO_PENDING, 'a batch in the queue is untouched');
          batch.words[at] = -constants.errno.ETIMEDOUT;
        }
        settled.catch(() => {});
        resolve(undefined);
      }, deadlineMs);
      settled.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  #task(
    kind: LaneTask['kind'],
    words: Int32Array,
    count: number,
    startedMicros: number,
    deadlineMs: number,
    slot: number,
  ): LaneTask {
    const { instance, inflightBytes, inflightBytesBehindReads } = this.#options;
    return {
      kind,
      instance,
      lane: this.#lane,
      words,
      count,
      startedMicros,
      deadlineMicros: startedMicros + deadlineMs * 1000,
      inflightBytes,
      inflightBytesBehindReads,
      claims: this.#claims,
      slot,
    };
  }
}
