import { invariant } from '@refill/interface';
import { Ghost } from './ghost.ts';

const NONE = -1;
const QUEUE = { none: 0, small: 1, main: 2, parked: 3, ready: 4, leaving: 5 } as const;
const QUEUES = 6;
const FREQUENCY_MAX = 3;
/** Share of the arena for blocks not seen again yet. */
const SMALL_SHARE = 0.1;

/**
 * S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): newcomers pass a small queue,
 * those used again or seen before get into the main one, which goes round by frequency. Hits write one byte.
 * Blocks are ids; the queues are links in flat columns. A block that may not be evicted now is parked when it is met,
 * and its owner puts it back when that ends, so that nothing is passed over twice for the same reason.
 * Where blocks are copied to a lower tier before they go, the order is run ahead (`advance`): its victims are copied,
 * then wait as `ready`, and go first; one that was used meanwhile goes round again.
 * Those that were said to be wanted no more leave before all others, unless they are used after all.
 */
export class S3Fifo {
  readonly #ghost: Ghost;
  readonly #smallUnitsMax: number;
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #queue = new Uint8Array(0);
  #frequency = new Uint8Array(0);
  #units = new Int32Array(0);
  #fingerprint = new Uint32Array(0);
  /** Newest and oldest id, ids and units of each queue; index by `QUEUE`. */
  readonly #newest = new Int32Array(QUEUES).fill(NONE);
  readonly #oldest = new Int32Array(QUEUES).fill(NONE);
  readonly #count = new Int32Array(QUEUES);
  readonly #unitsIn = new Float64Array(QUEUES);

  constructor(arenaUnits: number) {
    this.#ghost = new Ghost(Math.min(arenaUnits, 2 ** 20));
    this.#smallUnitsMax = Math.max(1, Math.floor(arenaUnits * SMALL_SHARE));
  }

  /** Makes room in the columns for ids below `end`. */
  grow(end: number): void {
    if (end <= this.#next.length) return;
    const capacity = Math.max(1024, end, this.#next.length * 2);
    this.#next = copyInto(new Int32Array(capacity), this.#next);
    this.#previous = copyInto(new Int32Array(capacity), this.#previous);
    this.#queue = copyInto(new Uint8Array(capacity), this.#queue);
    this.#frequency = copyInto(new Uint8Array(capacity), this.#frequency);
    this.#units = copyInto(new Int32Array(capacity), this.#units);
    this.#fingerprint = copyInto(new Uint32Array(capacity), this.#fingerprint);
  }

  /** Takes a block in. `fingerprint` stands for its key after it is gone; one that `isLeaving` goes before others. */
  insert(id: number, units: number, fingerprint: number, isLeaving = false): void {
    invariant(this.#queue[id] === QUEUE.none, 'a block is in one queue');
    this.#units[id] = units;
    this.#fingerprint[id] = fingerprint;
    this.#frequency[id] = 0;
    if (isLeaving) {
      this.#push(QUEUE.leaving, id);
      return;
    }
    const reach =
      this.#count[QUEUE.main]! +
      this.#count[QUEUE.small]! +
      this.#count[QUEUE.parked]! +
      this.#count[QUEUE.ready]!;
    this.#push(this.#ghost.take(fingerprint, reach) ? QUEUE.main : QUEUE.small, id);
  }

  /** Notes a use. */
  touch(id: number): void {
    if (this.#frequency[id]! < FREQUENCY_MAX) this.#frequency[id]!++;
  }

  /** Forgets a block, in whatever queue it is or in none. */
  remove(id: number): void {
    if (this.#queue[id] !== QUEUE.none) this.#pull(id);
  }

  /** A parked block may be evicted again. */
  unpark(id: number): void {
    if (this.#queue[id] !== QUEUE.parked) return;
    this.#pull(id);
    this.#push(QUEUE.main, id);
  }

  /**
   * The block to evict next, or -1 when there is none or `stepsMax` were looked at. It stays queued until `remove`.
   * Ghosts remember it from now on.
   */
  victim(isEvictable: (id: number) => boolean, stepsMax: number): number {
    let steps = 0;
    for (; steps < stepsMax && this.#count[QUEUE.ready]! > 0; steps++) {
      const id = this.#oldest[QUEUE.ready]!;
      if (isEvictable(id) && this.#frequency[id] === 0) return id;
      this.#pull(id);
      this.#push(isEvictable(id) ? QUEUE.main : QUEUE.parked, id);
    }
    return this.advance(isEvictable, stepsMax - steps);
  }

  /** Units of blocks that are ready to go. */
  get readyUnits(): number {
    return this.#unitsIn[QUEUE.ready]!;
  }

  isReady(id: number): boolean {
    return this.#queue[id] === QUEUE.ready;
  }

  /** Whether a block was used since it came, or proved its worth before. */
  wasUsed(id: number): boolean {
    return this.#queue[id] === QUEUE.main || this.#frequency[id]! > 0;
  }

  /** Takes a block out of the order while it is copied; `ready` follows. Uses from now on count anew. */
  hold(id: number): void {
    this.#pull(id);
    this.#frequency[id] = 0;
  }

  /** A block that was proposed by `advance` may go. */
  ready(id: number): void {
    if (this.#queue[id] !== QUEUE.none) this.hold(id);
    this.#push(QUEUE.ready, id);
  }

  /** As `victim`, passing over what is ready already. */
  advance(isEvictable: (id: number) => boolean, stepsMax: number): number {
    for (let step = 0; step < stepsMax; step++) {
      const isLeaving = this.#count[QUEUE.leaving]! > 0;
      const fromSmall =
        !isLeaving &&
        this.#count[QUEUE.small]! > 0 &&
        (this.#unitsIn[QUEUE.small]! > this.#smallUnitsMax || this.#count[QUEUE.main] === 0);
      const queue = isLeaving ? QUEUE.leaving : fromSmall ? QUEUE.small : QUEUE.main;
      const id = this.#oldest[queue]!;
      if (id === NONE) return NONE;
      if (!isEvictable(id)) {
        this.#pull(id);
        this.#push(QUEUE.parked, id);
      } else if (fromSmall && this.#frequency[id]! > 1) {
        this.#pull(id);
        this.#frequency[id] = 0;
        this.#push(QUEUE.main, id);
      } else if (!fromSmall && this.#frequency[id]! > 0) {
        this.#pull(id);
        this.#frequency[id]!--;
        this.#push(QUEUE.main, id);
      } else {
        if (fromSmall) this.#ghost.add(this.#fingerprint[id]!);
        return id;
      }
    }
    return NONE;
  }

  /**
   * Calls `visit` for blocks, hottest first, until it answers false: by uses, and among equals those seen again before
   * newcomers, newest first. Walks the queues once for each number of uses: not for a hot path.
   */
  forEachHottest(visit: (id: number) => boolean): void {
    for (let frequency = FREQUENCY_MAX; frequency >= 0; frequency--) {
      for (const queue of [QUEUE.parked, QUEUE.main, QUEUE.small]) {
        for (let id = this.#newest[queue]!; id !== NONE; id = this.#previous[id]!) {
          if (this.#frequency[id] === frequency && !visit(id)) return;
        }
      }
    }
  }

  #push(queue: number, id: number): void {
    const newest = this.#newest[queue]!;
    this.#queue[id] = queue;
    this.#next[id] = NONE;
    this.#previous[id] = newest;
    if (newest === NONE) this.#oldest[queue] = id;
    else this.#next[newest] = id;
    this.#newest[queue] = id;
    this.#count[queue]!++;
    this.#unitsIn[queue]! += this.#units[id]!;
  }

  #pull(id: number): void {
    const queue = this.#queue[id]!;
    const [next, previous] = [this.#next[id]!, this.#previous[id]!];
    if (next === NONE) this.#newest[queue] = previous;
    else this.#previous[next] = previous;
    if (previous === NONE) this.#oldest[queue] = next;
    else this.#next[previous] = next;
    this.#queue[id] = QUEUE.none;
    this.#count[queue]!--;
    this.#unitsIn[queue]! -= this.#units[id]!;
  }
}

function copyInto<T extends Int32Array | Uint32Array | Uint8Array>(target: T, source: T): T {
  target.set(source);
  return target;
}
