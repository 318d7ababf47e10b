import { type Clock, FILL_LIFE_MS_MAX, FILLS_PER_NODE_MAX, RefillError } from '@refill/interface';
import { fingerprintNumber } from '../protocol/fingerprint.ts';
import type { ServiceLease } from './node-lease.ts';

interface Fill {
  readonly lease: ServiceLease;
  readonly holder: number;
  endsAtMs: number;
  waiters: Set<FillWaiter> | undefined;
}

/** Somebody who waits for several keys; `done` is called once, when none is held any more or at the deadline. */
export interface FillWaiter {
  remaining: number;
  readonly done: () => void;
}

/**
 * Who computes which missing block. A lease ends by its life, by its holder, with its node's lease, or when the block
 * lands (committed, or in some node's memory): whoever waits is woken by each of these. Keyed by fingerprint: two
 * blocks that share one would at worst wait for each other's computation.
 */
export class FillLeases {
  /** Calls that wait. */
  waits = 0;
  readonly #clock: Clock;
  readonly #fills = new Map<number, Fill>();
  readonly #byHolder = new Map<string, Set<number>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#fills.size;
  }

  /** Milliseconds until the lease of a block ends at the latest; 0 when nobody holds it. */
  remainingMs(low: number, high: number): number {
    return Math.max(0, (this.#live(fingerprintNumber(low, high))?.endsAtMs ?? 0) - this.#clock.nowMs());
  }

  /**
   * Takes the lease of a block that is not there: answers 0, or how long another still holds it at most. Its own
   * holder gets it anew. `ERR_LIMIT` when the node holds too many.
   */
  take(low: number, high: number, lease: ServiceLease, holder: number, lifeMs: number): number {
    const id = fingerprintNumber(low, high);
    const nowMs = this.#clock.nowMs();
    const held = this.#live(id);
    const endsAtMs = nowMs + Math.min(lifeMs, FILL_LIFE_MS_MAX);
    if (held !== undefined && (held.lease !== lease || held.holder !== holder))
      return Math.max(1, held.endsAtMs - nowMs);
    if (held !== undefined) {
      held.endsAtMs = endsAtMs;
      return 0;
    }
    if (lease.fills >= FILLS_PER_NODE_MAX) {
      throw new RefillError('ERR_LIMIT', `node ${lease.node} holds ${lease.fills} fill leases`);
    }
    this.#fills.set(id, { lease, holder, endsAtMs, waiters: undefined });
    lease.fills++;
    const name = holderName(lease, holder);
    const own = this.#byHolder.get(name) ?? new Set();
    this.#byHolder.set(name, own.add(id));
    return 0;
  }

  /** Registers a waiter for a block; answers false when nobody holds it. */
  await(low: number, high: number, waiter: FillWaiter): boolean {
    const fill = this.#live(fingerprintNumber(low, high));
    if (fill === undefined) return false;
    fill.waiters ??= new Set();
    if (!fill.waiters.has(waiter)) waiter.remaining++;
    fill.waiters.add(waiter);
    return true;
  }

  /** A waiter waits no more. */
  forget(low: number, high: number, waiter: FillWaiter): void {
    this.#fills.get(fingerprintNumber(low, high))?.waiters?.delete(waiter);
  }

  /** The block is there: its lease ends. */
  arrived(low: number, high: number): void {
    this.#end(fingerprintNumber(low, high));
  }

  release(lease: ServiceLease, holder: number): void {
    for (const id of this.#byHolder.get(holderName(lease, holder)) ?? []) this.#end(id);
  }

  /** A node's lease is over: so are its fill leases. */
  endNode(lease: ServiceLease): void {
    if (lease.fills === 0) return;
    for (const [id, fill] of this.#fills) if (fill.lease === lease) this.#end(id);
  }

  /** Ends what has outlived its time, and wakes those who wait for it. */
  expire(): void {
    const nowMs = this.#clock.nowMs();
    for (const [id, fill] of this.#fills) if (fill.endsAtMs <= nowMs) this.#end(id);
  }

  #live(id: number): Fill | undefined {
    const fill = this.#fills.get(id);
    if (fill === undefined || fill.endsAtMs > this.#clock.nowMs()) return fill;
    this.#end(id);
    return undefined;
  }

  #end(id: number): void {
    const fill = this.#fills.get(id);
    if (fill === undefined) return;
    this.#fills.delete(id);
    fill.lease.fills--;
    const name = holderName(fill.lease, fill.holder);
    const own = this.#byHolder.get(name);
    own?.delete(id);
    if (own?.size === 0) this.#byHolder.delete(name);
    for (const waiter of fill.waiters ?? []) {
      waiter.remaining--;
      if (waiter.remaining === 0) waiter.done();
    }
  }
}

function holderName(lease: ServiceLease, holder: number): string {
  return `${lease.slot}/${holder}`;
}
