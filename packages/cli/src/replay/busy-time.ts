import type { Clock } from '@refill/interface';

/** Milliseconds during which at least one of several overlapping pieces of work was under way. */
export class BusyTime {
  readonly #clock: Clock;
  #active = 0;
  #sinceMs = 0;
  #totalMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async during<T>(work: Promise<T>): Promise<T> {
    if (this.#active++ === 0) this.#sinceMs = this.#clock.nowMs();
    try {
      return await work;
    } finally {
      if (--this.#active === 0) this.#totalMs += this.#clock.nowMs() - this.#sinceMs;
    }
  }

  get ms(): number {
    return this.#totalMs + (this.#active > 0 ? this.#clock.nowMs() - this.#sinceMs : 0);
  }
}
