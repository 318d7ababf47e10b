import type { Clock } from '@refill/interface';

/**
 * Waits for `work` until `atMs` of the clock; answers whether it was done by then. Rejects when `work` rejects in time;
 * a later rejection is nobody's any more and must be handled by whoever made the promise.
 */
export function doneBy(clock: Clock, atMs: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(Math.max(0, atMs - clock.nowMs()), () => resolve(false));
    work.then(
      () => {
        cancel();
        resolve(true);
      },
      (error) => {
        cancel();
        reject(error);
      },
    );
  });
}
