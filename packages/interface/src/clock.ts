/** Time and chance are injected everywhere, so that a whole cluster can run in one process on a virtual clock. */
export interface Clock {
  /** Monotonic milliseconds, with fractions; the origin is arbitrary. Deadlines and leases are judged by it. */
  nowMs(): number;
  /** Wall-clock milliseconds since 1970, for people and recency only: never for a safety decision. */
  wallMs(): number;
  /**
   * Calls back once after `delayMs`: never before `nowMs` has moved on by so much, so that whoever looks at the clock
   * in the callback finds the time passed. The returned function cancels it. Does not keep the process alive.
   */
  after(delayMs: number, callback: () => void): () => void;
}

/** What a machine has to tell time by. Its timers may fire early: those of Node do, by up to a millisecond. */
export interface TimeSource {
  nowMs(): number;
  wallMs(): number;
  /** Calls back after about `delayMs`; the returned function cancels it. Does not keep the process alive. */
  timer(delayMs: number, callback: () => void): () => void;
}

/** A clock of a machine's own time: waits on when a timer was early. */
export function clockOf(source: TimeSource): Clock {
  return {
    nowMs: () => source.nowMs(),
    wallMs: () => source.wallMs(),
    after(delayMs, callback) {
      const dueMs = source.nowMs() + delayMs;
      let cancel: () => void;
      const wait = (ms: number): void => {
        cancel = source.timer(Math.ceil(ms), () => {
          const leftMs = dueMs - source.nowMs();
          if (leftMs > 0) wait(leftMs);
          else callback();
        });
      };
      wait(delayMs);
      return () => cancel();
    },
  };
}

/** Source of randomness. */
export interface Chance {
  /** Fills `target` with random bytes and returns it. */
  bytes<T extends Uint8Array>(target: T): T;
  /** A number in [0, 1). */
  unit(): number;
}
