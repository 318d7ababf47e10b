import { createIoBatch, IO_PENDING, IO_WORDS, type IoBatch } from '@refill/interface';

/** Idle I/O batches of one capacity: shared memory is worth keeping. */
export class IoBatches {
  readonly #capacity: number;
  readonly #idle: IoBatch[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  take(): IoBatch {
    const batch = this.#idle.pop() ?? createIoBatch(this.#capacity);
    batch.count = 0;
    return batch;
  }

  /** Only after its submission resolved: until then it belongs to the engine. */
  give(batch: IoBatch): void {
    this.#idle.push(batch);
  }
}

/** Bytes moved by an operation, or minus its errno. */
export function ioResult(batch: IoBatch, index: number): number {
  return batch.words[index * IO_WORDS + 9]!;
}

/** Length that was asked for. */
export function ioLength(batch: IoBatch, index: number): number {
  return batch.uwords[index * IO_WORDS + 8]!;
}

/**
 * The first failure of a batch as a positive errno, 0 when every operation did all it was asked for. A short
 * operation counts as EIO (5). One that was never run (after a failed sync) is no cause, so it comes last.
 */
export function ioFailure(batch: IoBatch): number {
  let never = 0;
  for (let i = 0; i < batch.count; i++) {
    const result = ioResult(batch, i);
    if (result === IO_PENDING) never = 5;
    else if (result < 0) return -result;
    else if (batch.words[i * IO_WORDS] !== 3 && result < ioLength(batch, i)) return 5;
  }
  return never;
}
