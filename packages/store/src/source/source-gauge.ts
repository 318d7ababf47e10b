/** Share of a new sample in the running means: about the last ten loads count. */
const WEIGHT = 0.2;
/** A source that failed is left alone for so long, doubled with each failure in a row. */
const SUSPEND_MS = 250;
const SUSPEND_MS_MAX = 30_000;
/** No device here moves a byte faster than memory: a sample above is an error of the clock's grain. */
const BYTES_PER_MS_MAX: number = 100 * 1024 * 1024;

/** What `begin` noted of a load, to be given back to `end`. */
export interface LoadStart {
  readonly atMs: number;
  /** Bytes that were asked of the source before and not there yet. */
  readonly queuedBytes: number;
}

export interface GaugeReading {
  latencyMs: number;
  bytesPerMs: number;
  inFlightBytes: number;
  loads: number;
  bytes: number;
  failures: number;
  /** Milliseconds for which it is left alone from now on; 0 when it is in use. */
  suspendedMs: number;
}

/**
 * What a source gives, as measured: T = latency + (bytes queued + bytes) / bandwidth. Small loads teach the latency,
 * large ones the bandwidth. Before the first load the priors stand, so that every source is tried.
 */
export class SourceGauge {
  #latencyMs: number;
  #bytesPerMs: number;
  #inFlightBytes = 0;
  #loads = 0;
  #bytes = 0;
  #failures = 0;
  #failuresInRow = 0;
  #suspendedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(prior: { latencyMs: number; bytesPerMs: number }) {
    this.#latencyMs = prior.latencyMs;
    this.#bytesPerMs = prior.bytesPerMs;
  }

  /** Milliseconds until the first byte would be here, after what is queued. */
  readyMs(): number {
    return this.#latencyMs + this.#inFlightBytes / this.#bytesPerMs;
  }

  /** Milliseconds that so many bytes take once they flow. */
  transferMs(bytes: number): number {
    return bytes / this.#bytesPerMs;
  }

  estimateMs(bytes: number): number {
    return this.readyMs() + this.transferMs(bytes);
  }

  isSuspended(nowMs: number): boolean {
    return nowMs < this.#suspendedUntilMs;
  }

  begin(bytes: number, nowMs: number): LoadStart {
    const start = { atMs: nowMs, queuedBytes: this.#inFlightBytes };
    this.#inFlightBytes += bytes;
    return start;
  }

  /** A load ended: `bytes` of it were asked for, `doneBytes` came. Only a load that came whole teaches anything. */
  end(start: LoadStart, bytes: number, doneBytes: number, nowMs: number): void {
    this.#inFlightBytes -= bytes;
    this.#loads++;
    this.#bytes += doneBytes;
    if (doneBytes < bytes || bytes === 0) return;
    this.#failuresInRow = 0;
    this.#learn(start.queuedBytes + bytes, Math.max(1e-3, nowMs - start.atMs));
  }

  /** It was late or broke: it is left alone for a while, longer each time. */
  fail(nowMs: number): void {
    this.#failures++;
    const pauseMs = Math.min(SUSPEND_MS_MAX, SUSPEND_MS * 2 ** Math.min(16, this.#failuresInRow++));
    this.#suspendedUntilMs = nowMs + pauseMs;
  }

  reading(nowMs: number): GaugeReading {
    return {
      latencyMs: this.#latencyMs,
      bytesPerMs: this.#bytesPerMs,
      inFlightBytes: this.#inFlightBytes,
      loads: this.#loads,
      bytes: this.#bytes,
      failures: this.#failures,
      suspendedMs: Math.max(0, this.#suspendedUntilMs - nowMs),
    };
  }

  #learn(movedBytes: number, elapsedMs: number): void {
    const transferMs = movedBytes / this.#bytesPerMs;
    if (transferMs < this.#latencyMs) {
      // Mostly waiting: what is left after the transfer is latency.
      const sample = Math.max(elapsedMs - transferMs, elapsedMs / 2);
      this.#latencyMs += WEIGHT * (sample - this.#latencyMs);
      return;
    }
    const flowingMs = Math.max(elapsedMs - this.#latencyMs, elapsedMs / 2);
    const sample = Math.min(BYTES_PER_MS_MAX, movedBytes / flowingMs);
    this.#bytesPerMs += WEIGHT * (sample - this.#bytesPerMs);
  }
}
