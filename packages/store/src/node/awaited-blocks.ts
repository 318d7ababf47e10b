import type { Flight, FlightWaiter } from './load-blocks.ts';

/** Blocks that a call has pinned and awaits, each for a position of the call. */
export class AwaitedBlocks implements FlightWaiter {
  readonly ids: number[] = [];
  readonly positions: number[] = [];
  #flightsLeft = 0;
  #resolve = (): void => {};

  board(flight: Flight): void {
    flight.waiters.push(this);
    this.#flightsLeft++;
  }

  landed(): void {
    if (--this.#flightsLeft === 0) this.#resolve();
  }

  /** Settles when every flight has landed. */
  landedAll(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      if (this.#flightsLeft === 0) resolve();
    });
  }
}
