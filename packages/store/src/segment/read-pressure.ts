import type { Clock } from '@refill/interface';

/** Reads come in bursts with gaps of a few hundred microseconds between the requests of one client. */
const HOLD_MS = 2;

/** Whether somebody waits for a read: write-behind asks before each slice. */
export class ReadPressure {
  readonly #clock: Clock;
  #active = 0;
  #leftAtMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  enter(): void {
    this.#active++;
  }

  leave(): void {
    if (--this.#active === 0) this.#leftAtMs = this.#clock.nowMs();
  }

  get high(): boolean {
    return this.#active > 0 || this.#clock.nowMs() - this.#leftAtMs < HOLD_MS;
  }
}
