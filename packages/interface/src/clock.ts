/** Time and chance are injected everywhere, so that a whole cluster can run in one process on a virtual clock. */
export interface Clock {
  /** Monotonic milliseconds, with fractions; the origin is arbitrary. Deadlines and leases are judged by it. */
  nowMs(): number;
  /** Wall-clock milliseconds since 1970, for people and recency only: never for a safety decision. */
  wallMs(): number;
  /** Calls back once after `delayMs`. The returned function cancels it. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Source of randomness. */
export interface Chance {
  /** Fills `target` with random bytes and returns it. */
  bytes<T extends Uint8Array>(target: T): T;
  /** A number in [0, 1). */
  unit(): number;
}
