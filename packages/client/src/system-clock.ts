import { randomFillSync } from 'node:crypto';
import { type Chance, type Clock, clockOf } from '@refill/interface';

/** Time and chance of the machine. Only `parts.ts` names this file: everything else gets them injected. */
export const systemClock: Clock = clockOf({
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  timer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
});

export const systemChance: Chance = {
  bytes: (target) => randomFillSync(target),
  unit: () => Math.random(),
};
