import { invariant } from './errors.ts';

/**
 * 128 parts grow one by one: growth at ten million entries is many pauses of less than a millisecond. More of them
 * would be shorter, but then the parts themselves would no longer stay in the cache.
 */
const PART_SHIFT = 25;
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
  /** Home positions a unit of hash: capacity / 2^25. */
  readonly #scale: Float64Array = new Float64Array(PARTS);
  readonly #used: Uint32Array = new Uint32Array(PARTS);
  #bytes = 0;
  /** Keeps the compiler from leaving out reads that only warm the cache. */
  #touched = 0;

  /** Bytes of memory behind the slots. */
  get bytes(): number {
    return this.#bytes + 0 * this.#touched;
  }

  /** First slot at or after `from` that holds `hash`, or -1. `from` is -1 for the first search. */
  seek(hash: number, from: number): number {
    const part = hash >>> PART_SHIFT;
    const slots = this.#parts[part]!;
    let slot = from < 0 ? home(hash, this.#scale[part]!) : from;
    while (slots[2 * slot + 1] !== 0 && slots[2 * slot]! < hash) slot++;
    return slots[2 * slot + 1] !== 0 && slots[2 * slot] === hash ? slot : -1;
  }

  /** Id in a slot that `seek` returned for `hash`. */
  idAt(hash: number, slot: number): number {
    return this.#parts[hash >>> PART_SHIFT]![2 * slot + 1]! - 1;
  }

  /**
   * First id of each hash, or -1. The first pass only touches the slots where searches start: it has no branches, so
   * the processor has many of these cache misses under way at a time, which the searches themselves would not.
   */
  seekMany(hashes: Uint32Array, count: number, ids: Int32Array): void {
    const parts = this.#parts;
    const scale = this.#scale;
    let touched = 0;
    for (let i = 0; i < count; i++) {
      const part = hashes[i]! >>> PART_SHIFT;
      const slot = home(hashes[i]!, scale[part]!);
      touched |= parts[part]![2 * slot]!;
      ids[i] = slot;
    }
    this.#touched = touched;
    for (let i = 0; i < count; i++) {
      const hash = hashes[i]!;
      const slots = parts[hash >>> PART_SHIFT]!;
      let at = 2 * ids[i]!;
      while (slots[at + 1] !== 0 && slots[at]! < hash) at += 2;
      ids[i] = slots[at] === hash ? slots[at + 1]! - 1 : -1;
    }
  }

  insert(hash: number, id: number): void {
    const part = hash >>> PART_SHIFT;
    if (this.#used[part]! + 1 > this.#capacity[part]! * FILL_MAX) this.#grow(part);
    while (!place(this.#parts[part]!, home(hash, this.#scale[part]!), hash, id)) this.#grow(part);
    this.#used[part]!++;
  }

  remove(hash: number, id: number): void {
    const part = hash >>> PART_SHIFT;
    const slots = this.#parts[part]!;
    const scale = this.#scale[part]!;
    let slot = this.seek(hash, -1);
    while (slot >= 0 && slots[2 * slot + 1] !== id + 1) slot = this.seek(hash, slot + 1);
    invariant(slot >= 0, `id ${id} is in the slots of its hash`);
    let next = slot + 1;
    while (slots[2 * next + 1] !== 0 && home(slots[2 * next]!, scale) < next) next++;
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
    this.#scale[part] = capacity / (POSITION_MASK + 1);
  }
}

/** Where the search for a hash starts: monotone in the hash, for any capacity. */
function home(hash: number, scale: number): number {
  return ((hash & POSITION_MASK) * scale) | 0;
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
  const scale = capacity / (POSITION_MASK + 1);
  let next = 0;
  for (let from = 0; from < old.length; from += 2) {
    if (old[from + 1] === 0) continue;
    const slot = Math.max(next, home(old[from]!, scale));
    if (2 * slot + 2 >= slots.length) return undefined;
    slots[2 * slot] = old[from]!;
    slots[2 * slot + 1] = old[from + 1]!;
    next = slot + 1;
  }
  return slots;
}
