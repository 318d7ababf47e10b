import type { Clock, NodeLease } from '@refill/interface';

/** Ended so long before the service may end it: what is under way then is still before the take-over. */
const MARGIN_MS = 2000;

/**
 * This node's lease, judged by its own monotonic clock (invariant L4): from before the renewal was sent, so a late
 * answer makes it shorter, never longer.
 */
export class HeldLease implements NodeLease {
  readonly node: string;
  onEpoch: ((epoch: number) => void) | undefined;
  slot = 0;
  epoch = 0;
  ttlMs = 0;
  readonly #clock: Pick<Clock, 'nowMs'>;
  #endsAtMs = Number.NEGATIVE_INFINITY;
  /** What the store runs under: `onEpoch` is called when it changes after the first. */
  #toldEpoch = 0;

  constructor(node: string, clock: Pick<Clock, 'nowMs'>) {
    this.node = node;
    this.#clock = clock;
  }

  get isHeld(): boolean {
    return this.#clock.nowMs() < this.#endsAtMs;
  }

  /** A grant whose request was sent at `sentAtMs`. */
  grant(epoch: number, slot: number, ttlMs: number, sentAtMs: number): void {
    this.epoch = epoch;
    this.slot = slot;
    this.ttlMs = ttlMs;
    this.renew(sentAtMs);
    const isAnother = this.#toldEpoch !== 0 && this.#toldEpoch !== epoch;
    this.#toldEpoch = epoch;
    if (isAnother) this.onEpoch?.(epoch);
  }

  renew(sentAtMs: number): void {
    this.#endsAtMs = sentAtMs + Math.max(0, this.ttlMs - MARGIN_MS);
  }

  /** The service says that it is over, or the node goes. */
  end(): void {
    this.#endsAtMs = Number.NEGATIVE_INFINITY;
  }
}
