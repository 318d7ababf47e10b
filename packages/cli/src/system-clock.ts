import { randomFillSync } from 'node:crypto';
import type { Chance, Clock } from '@refill/interface';

/** The machine's own time. The only place of Refill that reads it; everything else gets a `Clock`. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, callback) {
    const dueMs = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    // Timers count whole milliseconds of the event loop's own clock and may fire up to one too early for this one:
    // whoever looks at the clock in the callback must find the time passed.
    const wait = (ms: number): void => {
      timer = setTimeout(() => {
        const leftMs = dueMs - performance.now();
        if (leftMs > 0) wait(leftMs);
        else callback();
      }, Math.ceil(ms));
      timer.unref();
    };
    wait(delayMs);
    return () => clearTimeout(timer);
  },
};

/** The operating system's randomness. */
export const systemChance: Chance = {
  bytes: (target) => randomFillSync(target),
  unit: () => randomFillSync(new Uint32Array(1))[0]! / 2 ** 32,
};
