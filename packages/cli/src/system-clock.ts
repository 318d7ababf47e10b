import { randomFillSync } from 'node:crypto';
import type { Chance, Clock } from '@refill/interface';

/** The machine's own time. The only place of Refill that reads it; everything else gets a `Clock`. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** The operating system's randomness. */
export const systemChance: Chance = {
  bytes: (target) => randomFillSync(target),
  unit: () => randomFillSync(new Uint32Array(1))[0]! / 2 ** 32,
};
