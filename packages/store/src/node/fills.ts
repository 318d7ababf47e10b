import { type Clock, FILLS_PER_NODE_MAX, invariant, KeyTable, RefillError } from '@refill/interface';

/** Stands for nobody: the key is only watched. */
const NOBODY = 0;

interface Fill {
  holder: number;
  endsAtMs: number;
  readonly waiters: Set<FillWaiter>;
}

/** Somebody who waits for several keys; `done` is called once, when the last of them was ended. */
export interface FillWaiter {
  remaining: number;
  readonly done: () => void;
}

/**
 * Who on this node computes which missing block. A lease ends by its life, by its holder, or when the block can be read
 * here; each of these wakes who waits for it. Between nodes the metadata service decides (`Cluster.acquireFills`); what
 * a client of this node holds is in this table too, so that its neighbours need not ask, nor wait for a heartbeat.
 * Invariant: a key has one holder at a time, and a holder is told only of leases that it has.
 */
export class Fills {
  readonly #clock: Clock;
  readonly #table: KeyTable;
  readonly #fills: (Fill | undefined)[] = [];
  readonly #byHolder = new Map<number, Set<number>>();
  #size = 0;
  #lastHolder = NOBODY;

  constructor(clock: Clock, seed: number) {
    this.#clock = clock;
    this.#table = new KeyTable({ seed });
  }

  /** Leases that are held. */
  get size(): number {
    return this.#size;
  }

  /** A number for a new holder. */
  nextHolder(): number {
    do {
      this.#lastHolder = (this.#lastHolder + 1) >>> 0;
    } while (this.#lastHolder === NOBODY || this.#byHolder.has(this.#lastHolder));
    return this.#lastHolder;
  }

  /** Everybody who holds anything. */
  holders(): number[] {
    return [...this.#byHolder.keys()];
  }

  /** Whether a holder holds anything. */
  holds(holder: number): boolean {
    return this.#byHolder.has(holder);
  }

  /** Whether a holder holds a key. */
  isHolder(namespace: number, keys: Uint32Array, at: number, holder: number): boolean {
    return this.#live(namespace, keys, at)?.holder === holder;
  }

  /** When the lease of a key ends at the latest, by the clock; 0 when nobody holds it. */
  endsAtMs(namespace: number, keys: Uint32Array, at: number): number {
    return this.#live(namespace, keys, at)?.endsAtMs ?? 0;
  }

  /** Takes the lease of a key: answers 0, or the milliseconds for which another holds it at most. `ERR_LIMIT`. */
  take(namespace: number, keys: Uint32Array, at: number, holder: number, lifeMs: number): number {
    const nowMs = this.#clock.nowMs();
    const held = this.#live(namespace, keys, at);
    if (held !== undefined) return held.holder === holder ? 0 : Math.max(1, Math.ceil(held.endsAtMs - nowMs));
    if (this.#size >= FILLS_PER_NODE_MAX) this.#expire();
    if (this.#size >= FILLS_PER_NODE_MAX) {
      throw new RefillError('ERR_LIMIT', `the clients of this node hold ${this.#size} fill leases`, {
        fix: 'Release leases, or take them with shorter lives',
      });
    }
    const id = this.#idOf(namespace, keys, at);
    const fill = this.#fills[id]!;
    fill.holder = holder;
    fill.endsAtMs = nowMs + lifeMs;
    this.#size++;
    const own = this.#byHolder.get(holder) ?? new Set();
    this.#byHolder.set(holder, own.add(id));
    return 0;
  }

  /** Registers a waiter for the end of a key's lease, or for its block if nobody holds it. */
  watch(namespace: number, keys: Uint32Array, at: number, waiter: FillWaiter): void {
    const { waiters } = this.#fills[this.#idOf(namespace, keys, at)]!;
    if (waiters.has(waiter)) return;
    waiters.add(waiter);
    waiter.remaining++;
  }

  /** A waiter waits no more. */
  forget(namespace: number, keys: Uint32Array, at: number, waiter: FillWaiter): void {
    const id = this.#table.find(namespace, keys, at);
    const fill = id < 0 ? undefined : this.#fills[id];
    if (fill === undefined) return;
    fill.waiters.delete(waiter);
    if (fill.holder === NOBODY && fill.waiters.size === 0) this.#end(id);
  }

  /** Whether anybody holds or watches anything: what a put asks before it looks a key up here. */
  get isIdle(): boolean {
    return this.#table.size === 0;
  }

  /** The block is there: its lease ends. */
  arrived(namespace: number, keys: Uint32Array, at: number): void {
    const id = this.#table.find(namespace, keys, at);
    if (id >= 0) this.#end(id);
  }

  /** A key's lease is over for this holder. */
  give(namespace: number, keys: Uint32Array, at: number, holder: number): void {
    if (this.isHolder(namespace, keys, at, holder)) this.arrived(namespace, keys, at);
  }

  /** Ends every lease of a holder. */
  release(holder: number): void {
    for (const id of this.#byHolder.get(holder) ?? []) this.#end(id);
    invariant(!this.#byHolder.has(holder), 'no fill lease outlives its holder');
  }

  #live(namespace: number, keys: Uint32Array, at: number): Fill | undefined {
    const id = this.#table.find(namespace, keys, at);
    if (id < 0) return undefined;
    const fill = this.#fills[id]!;
    if (fill.holder === NOBODY) return undefined;
    if (fill.endsAtMs > this.#clock.nowMs()) return fill;
    this.#end(id);
    return undefined;
  }

  #idOf(namespace: number, keys: Uint32Array, at: number): number {
    const known = this.#table.find(namespace, keys, at);
    if (known >= 0) return known;
    const id = this.#table.insert(namespace, keys, at);
    this.#fills[id] = { holder: NOBODY, endsAtMs: 0, waiters: new Set() };
    return id;
  }

  /** Ends what has outlived its time and was not asked for since. */
  #expire(): void {
    const nowMs = this.#clock.nowMs();
    for (const [id, fill] of this.#fills.entries()) {
      if (fill !== undefined && fill.holder !== NOBODY && fill.endsAtMs <= nowMs) this.#end(id);
    }
  }

  #end(id: number): void {
    const { holder, waiters } = this.#fills[id]!;
    this.#fills[id] = undefined;
    this.#table.delete(id);
    if (holder !== NOBODY) {
      this.#size--;
      const own = this.#byHolder.get(holder)!;
      own.delete(id);
      if (own.size === 0) this.#byHolder.delete(holder);
    }
    for (const waiter of waiters) {
      waiter.remaining--;
      if (waiter.remaining === 0) waiter.done();
    }
  }
}
