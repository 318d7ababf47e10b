import { constants } from 'node:os';
import { DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX, RefillError } from '@refill/interface';
import { storageError } from './errors.ts';
import { type JobId, native } from './native.ts';
import { settleBatches } from './slots.ts';

export interface JobOptions {
  signal?: AbortSignal | undefined;
  deadlineMs?: number | undefined;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  what: string;
}

const waiting = new Map<JobId, Waiting>();

native.setHandler((job, errno, value) => {
  if (job === 0) {
    settleBatches();
    return;
  }
  const entry = waiting.get(job);
  if (entry === undefined) return;
  if (errno === 0) entry.resolve(value);
  else entry.reject(storageError(entry.what, errno));
});

/** The deadline of a call in milliseconds, checked. */
export function deadlineOf(deadlineMs: number | undefined): number {
  const value = deadlineMs ?? DEADLINE_MS_DEFAULT;
  if (!(value > 0 && value <= DEADLINE_MS_MAX)) {
    throw new RangeError(`deadlineMs must be above 0 and at most ${DEADLINE_MS_MAX}, got ${value}`);
  }
  return value;
}

/**
 * Starts a job and waits for it, at most until its deadline or abort. What a late job brings (a descriptor, a
 * mapping) is dropped in native code; its thread is replaced until it comes back.
 */
export function runJob<T>(what: string, start: () => JobId, options: JobOptions = {}): Promise<T> {
  const deadlineMs = deadlineOf(options.deadlineMs);
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(new RefillError('ERR_ABORTED', `${what} was aborted`));
  return new Promise<T>((resolve, reject) => {
    const job = start();
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      waiting.delete(job);
    };
    const giveUp = (error: RefillError): void => {
      finish();
      native.abandonJob(job);
      reject(error);
    };
    const onAbort = (): void => giveUp(new RefillError('ERR_ABORTED', `${what} was aborted`));
    const timer = setTimeout(() => {
      const message = `${what} did not come back within ${deadlineMs} ms`;
      giveUp(new RefillError('ERR_DEADLINE', message, { errno: constants.errno.ETIMEDOUT }));
    }, deadlineMs);
    signal?.addEventListener('abort', onAbort);
    waiting.set(job, {
      what,
      resolve: (value) => {
        finish();
        resolve(value as T);
      },
      reject: (error) => {
        finish();
        reject(error);
      },
    });
  });
}
