import { type Clock, RefillError } from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';

const WAIT_MS = 2;

export interface ScratchPlace {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * Scratch memory for I/O of our own. Memory that the kernel still holds after a timeout is given back only when it
 * lets go (`released`, from `BlockIO.onRelease`).
 */
export class ScratchLease {
  readonly #scratch: Scratch;
  readonly #clock: Clock;
  /** Ranges that the kernel holds, by their offset in the arena. */
  readonly #held = new Map<number, number>();
  /** Allocations that wait for a range in them. */
  readonly #waiting: { offset: number; lengthBytes: number }[] = [];

  constructor(scratch: Scratch, clock: Clock) {
    this.#scratch = scratch;
    this.#clock = clock;
  }

  /** Waits for memory up to the deadline, then rejects with `ERR_ARENA_FULL`. */
  async take(lengthBytes: number, deadlineMs: number): Promise<ScratchPlace> {
    const untilMs = this.#clock.nowMs() + deadlineMs;
    for (;;) {
      const place = this.#scratch.allocate(lengthBytes);
      if (place !== undefined) return place;
      if (this.#clock.nowMs() >= untilMs) {
        throw new RefillError('ERR_ARENA_FULL', `no ${lengthBytes} bytes of scratch memory`, {
          fix: 'Give the node a larger arena',
        });
      }
      await new Promise<void>((resolve) => this.#clock.after(WAIT_MS, resolve));
    }
  }

  /** An operation on this range of the arena timed out. */
  hold(offset: number, lengthBytes: number): void {
    this.#held.set(offset, lengthBytes);
  }

  /** Gives memory back, at once or as soon as the kernel holds none of it. */
  give(offset: number, lengthBytes: number): void {
    if (this.#isHeld(offset, lengthBytes)) this.#waiting.push({ offset, lengthBytes });
    else this.#scratch.free(offset);
  }

  /** The kernel let go of a range. */
  released(offset: number): void {
    if (!this.#held.delete(offset)) return;
    const index = this.#waiting.findIndex(
      (place) => offset >= place.offset && offset < place.offset + place.lengthBytes,
    );
    const place = this.#waiting[index];
    if (place === undefined || this.#isHeld(place.offset, place.lengthBytes)) return;
    this.#waiting.splice(index, 1);
    this.#scratch.free(place.offset);
  }

  #isHeld(offset: number, lengthBytes: number): boolean {
    for (const held of this.#held.keys()) if (held >= offset && held < offset + lengthBytes) return true;
    return false;
  }
}
