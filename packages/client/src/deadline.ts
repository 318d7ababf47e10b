import {
  type CallOptions,
  type Clock,
  DEADLINE_MS_DEFAULT,
  DEADLINE_MS_MAX,
  RefillError,
} from '@refill/interface';

/** The deadline of a call in whole milliseconds. Throws `RangeError` naming the value. */
export function deadlineMsOf(options: CallOptions | undefined): number {
  const deadlineMs = options?.deadlineMs;
  if (deadlineMs === undefined) return DEADLINE_MS_DEFAULT;
  if (typeof deadlineMs === 'number' && deadlineMs > 0 && deadlineMs <= DEADLINE_MS_MAX) {
    return Math.ceil(deadlineMs);
  }
  throw new RangeError(
    `deadlineMs must be a number above 0 and at most ${DEADLINE_MS_MAX}, got ${String(deadlineMs)}`,
  );
}

export function abortError(signal: AbortSignal): RefillError {
  return new RefillError('ERR_ABORTED', 'the call was aborted', { cause: signal.reason });
}

export function deadlineError(what: string, deadlineMs: number): RefillError {
  return new RefillError('ERR_DEADLINE', `${what} was not answered within ${deadlineMs} ms`);
}

/** What is left of a deadline for a call that goes on in steps. At least 1 ms, so that a step can say it is late. */
export class Remaining {
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  readonly #clock: Clock;
  readonly #endsMs: number;

  constructor(clock: Clock, options: CallOptions | undefined) {
    this.deadlineMs = deadlineMsOf(options);
    this.signal = options?.signal;
    this.#clock = clock;
    this.#endsMs = clock.nowMs() + this.deadlineMs;
  }

  get isOver(): boolean {
    return this.#clock.nowMs() >= this.#endsMs;
  }

  options(): CallOptions {
    return { deadlineMs: Math.max(1, this.#endsMs - this.#clock.nowMs()), signal: this.signal };
  }
}

/** Waits for `work`, but no longer than the options say. What `work` does later is its own business. */
export function bounded<T>(clock: Clock, what: string, work: Promise<T>, options: CallOptions): Promise<T> {
  const { signal } = options;
  const deadlineMs = deadlineMsOf(options);
  return new Promise((resolve, reject) => {
    const stop = clock.after(deadlineMs, () => settle(() => reject(deadlineError(what, deadlineMs))));
    const onAbort = () => settle(() => reject(abortError(signal!)));
    const settle = (how: () => void) => {
      stop();
      signal?.removeEventListener('abort', onAbort);
      how();
    };
    work.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort);
  });
}
