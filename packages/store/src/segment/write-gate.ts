import type { ReadPressure } from './read-pressure.ts';

export interface WriteGateOptions {
  /** Bytes in flight while nobody reads: two whole batches, so that one is written while the other ends. */
  idleBytes: number;
  /** Bytes in flight while somebody reads: on a FIFO device a read waits behind all of them. */
  yieldingBytes: number;
  /** Most of them in one slice. */
  yieldingSliceBytes: number;
}

/** Lets slices of writes through, so that few bytes are in flight while reads wait. First come, first served. */
export class WriteGate {
  readonly #pressure: ReadPressure;
  readonly #options: WriteGateOptions;
  readonly #waiting: { bytes: number; enter: () => void }[] = [];
  #bytesInFlight = 0;

  constructor(pressure: ReadPressure, options: WriteGateOptions) {
    this.#pressure = pressure;
    this.#options = options;
  }

  /** Most that the next slice should carry. */
  get sliceBytes(): number {
    return this.#pressure.high ? this.#options.yieldingSliceBytes : this.#options.idleBytes;
  }

  get #inFlightBytesMax(): number {
    return this.#pressure.high ? this.#options.yieldingBytes : this.#options.idleBytes;
  }

  /** Resolves when `bytes` may be in flight; one slice always may, however long. Each `enter` has its `leave`. */
  enter(bytes: number): void | Promise<void> {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#bytesInFlight += bytes;
      return;
    }
    return new Promise((resolve) => this.#waiting.push({ bytes, enter: resolve }));
  }

  leave(bytes: number): void {
    this.#bytesInFlight -= bytes;
    let next = this.#waiting[0];
    while (next !== undefined && this.#fits(next.bytes)) {
      this.#waiting.shift();
      this.#bytesInFlight += next.bytes;
      next.enter();
      next = this.#waiting[0];
    }
  }

  #fits(bytes: number): boolean {
    return this.#bytesInFlight === 0 || this.#bytesInFlight + bytes <= this.#inFlightBytesMax;
  }
}
