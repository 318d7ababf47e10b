import type { LatencySummary } from '@refill/interface';

/** Buckets a doubling: a quantile is off by at most a sixteenth. */
const SPLIT = 16;
const SPLIT_LOG = 4;

/** Latencies in log-linear buckets from a microsecond to an hour: recording is two operations and no allocation. */
export class Histogram {
  readonly #buckets = new Float64Array(SPLIT * 33);
  #count = 0;

  record(milliseconds: number): void {
    const micros = Math.min(2 ** 32 - 1, Math.max(0, Math.round(milliseconds * 1000)));
    this.#buckets[bucketOf(micros)]!++;
    this.#count++;
  }

  summary(): LatencySummary {
    return { count: this.#count, p50Us: this.quantile(0.5), p99Us: this.quantile(0.99) };
  }

  /** Upper end of the bucket in which the quantile lies, microseconds; 0 when nothing was recorded. */
  quantile(share: number): number {
    let rank = Math.max(1, Math.ceil(this.#count * share));
    for (let bucket = 0; bucket < this.#buckets.length; bucket++) {
      rank -= this.#buckets[bucket]!;
      if (rank <= 0) return this.#count === 0 ? 0 : endOf(bucket);
    }
    return 0;
  }
}

function bucketOf(micros: number): number {
  if (micros < SPLIT) return micros;
  const log = 31 - Math.clz32(micros);
  return (log - SPLIT_LOG + 1) * SPLIT + ((micros >>> (log - SPLIT_LOG)) & (SPLIT - 1));
}

function endOf(bucket: number): number {
  if (bucket < SPLIT) return bucket;
  const log = Math.floor(bucket / SPLIT) + SPLIT_LOG - 1;
  return (SPLIT + (bucket % SPLIT) + 1) * 2 ** (log - SPLIT_LOG) - 1;
}
