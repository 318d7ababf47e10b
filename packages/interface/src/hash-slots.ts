import { invariant } from './errors.ts';

/** 1,024 parts grow one by one, so that growth at ten million entries is many pauses of some 0.1 ms. */
const PART_SHIFT = 22;
const PARTS = 2 ** (32 - PART_SHIFT);
const POSITION_MASK = 2 ** PART_SHIFT - 1;
/** Slots behind the last home position: a run at the end goes on there instead of wrapping round. */
const TAIL_SLOTS = 16;
/** Fill of a part between 0.77 and 0.875: growth is a sequential pass, so small steps cost little and save memory. */
const FILL_MAX = 0.875;
const GROWTH = 1.125;
const CAPACITY_MIN = 8;

/**
 * From 32-bit hashes to ids: open addressing with entries kept in the order of their hashes (linear probing with
 * robin hood order). A search ends at the first larger hash, a deletion shifts its run back and leaves no tombstone.
 * A slot is two words, `hash, id + 1`; zero is free. Hashes may repeat.
 */
export class HashSlots {
  readonly #parts: Uint32Array[] = new Array(PARTS).fill(new Uint32Array(2));
  readonly #capacity: Uint32Array = new Uint32Array(PARTS);
  readonly #used: Uint32Array = new Uint32Array(PARTS);
  #bytes = 0;

  /** Bytes of memory behind the slots. */
  get bytes(): number {
    return this.#bytes;
  }

  /** First slot at or after `from` that holds `hash`, or -1. `from` is -1 for the first search. */
  seek(hash: number, from: number): number {
    const part = hash >>> PART_SHIFT;
    const slots = this.#parts[part]!;
    let slot = from < 0 ? home(hash, this.#capacity[part]!) : from;
    while (slots[2 * slot + 1] !== 0 && slots[2 * slot]! < hash) slot++;
    return slots[2 * slot + 1] !== 0 && slots[2 * slot] === hash ? slot : -1;
  }

  /** Id in a slot that `seek` returned for `hash`. */
  idAt(hash: number, slot: number): number {
    return this.#parts[hash >>> PART_SHIFT]![2 * slot + 1]! - 1;
  }

  /** First id of each hash, or -1: one pass without dependences, so that cache misses overlap. */
  seekMany(hashes: Uint32Array, count: number, ids: Int32Array): void {
    for (let i = 0; i < count; i++) {
      const hash = hashes[i]!;
      const part = hash >>> PART_SHIFT;
      const slots = this.#parts[part]!;
      let slot = 2 * home(hash, this.#capacity[part]!);
      while (slots[slot + 1] !== 0 && slots[slot]! < hash) slot += 2;
      ids[i] = slots[slot] === hash ? slots[slot + 1]! - 1 : -1;
    }
  }

  insert(hash: number, id: number): void {
    const part = hash >>> PART_SHIFT;
    if (this.#used[part]! + 1 > this.#capacity[part]! * FILL_MAX) this.#grow(part);
    while (!place(this.#parts[part]!, home(hash, this.#capacity[part]!), hash, id)) this.#grow(part);
    this.#used[part]!++;
  }

  remove(hash: number, id: number): void {
    const part = hash >>> PART_SHIFT;
    const slots = this.#parts[part]!;
    const capacity = this.#capacity[part]!;
    let slot = this.seek(hash, -1);
    while (slot >= 0 && slots[2 * slot + 1] !== id + 1) slot = this.seek(hash, slot + 1);
    invariant(slot >= 0, `id ${id} is in the slots of its hash`);
    let next = slot + 1;
    while (slots[2 * next + 1] !== 0 && home(slots[2 * next]!, capacity) < next) next++;
    slots.copyWithin(2 * slot, 2 * slot + 2, 2 * next);
    slots.fill(0, 2 * next - 2, 2 * next);
    this.#used[part]!--;
  }

  #grow(part: number): void {
    const old = this.#parts[part]!;
    let capacity = this.#capacity[part]!;
    let slots: Uint32Array | undefined;
    while (slots === undefined) {
      capacity = Math.max(CAPACITY_MIN, Math.ceil(capacity * GROWTH));
      slots = spread(old, capacity);
    }
    if (this.#capacity[part] !== 0) this.#bytes -= old.byteLength;
    this.#bytes += slots.byteLength;
    this.#parts[part] = slots;
    this.#capacity[part] = capacity;
  }
}

/** Where the search for a hash starts: monotone in the hash, for any capacity. */
function home(hash: number, capacity: number): number {
  return Math.floor(((hash & POSITION_MASK) * capacity) / (POSITION_MASK + 1));
}

/** Puts an entry in its order; false when the run would leave the array. The last slot always stays free. */
function place(slots: Uint32Array, from: number, hash: number, id: number): boolean {
  let slot = from;
  while (slots[2 * slot + 1] !== 0 && slots[2 * slot]! <= hash) slot++;
  let free = slot;
  while (slots[2 * free + 1] !== 0) free++;
  if (2 * free + 2 >= slots.length) return false;
  if (free > slot) slots.copyWithin(2 * slot + 2, 2 * slot, 2 * free);
  slots[2 * slot] = hash;
  slots[2 * slot + 1] = id + 1;
  return true;
}

/** The entries of `old` over `capacity` home positions; `undefined` when the tail overflows. */
function spread(old: Uint32Array, capacity: number): Uint32Array | undefined {
  const slots = new Uint32Array(2 * (capacity + TAIL_SLOTS));
  let next = 0;
  for (let from = 0; from < old.length; from += 2) {
    if (old[from + 1] === 0) continue;
    const slot = Math.max(next, home(old[from]!, capacity));
    if (2 * slot + 2 >= slots.length) return undefined;
    slots[2 * slot] = old[from]!;
    slots[2 * slot + 1] = old[from + 1]!;
    next = slot + 1;
  }
  return slots;
}
