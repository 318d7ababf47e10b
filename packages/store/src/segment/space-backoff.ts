import type { Clock } from '@refill/interface';

const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 60_000;

/** A full file system: no new segment for a while, longer each time, until one write succeeds. */
export class SpaceBackoff {
  readonly #clock: Clock;
  #pauseMs = PAUSE_MS_MIN;
  #untilMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get blocked(): boolean {
    return this.#clock.nowMs() < this.#untilMs;
  }

  full(): void {
    if (this.blocked) return;
    this.#untilMs = this.#clock.nowMs() + this.#pauseMs;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * 2);
  }

  succeeded(): void {
    this.#pauseMs = PAUSE_MS_MIN;
    this.#untilMs = -Infinity;
  }
}
