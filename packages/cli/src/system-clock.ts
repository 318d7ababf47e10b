import { randomFillSync } from 'node:crypto';
import { type Chance, type Clock, clockOf } from '@refill/interface';

/** The machine's own time. The only place of Refill that reads it; everything else gets a `Clock`. */
export const systemClock: Clock = clockOf({
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  timer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
});

/** The operating system's randomness. */
export const systemChance: Chance = {
  bytes: (target) => randomFillSync(target),
  unit: () => randomFillSync(new Uint32Array(1))[0]! / 2 ** 32,
};
