import { HOLDERS_MAX, invariant, KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import { blockFingerprint } from '../protocol/fingerprint.ts';

/** A slot of the table: fingerprint (2 words), four holders of 16 bits. All zero is free. */
const ENTRY_WORDS = 4;
/** Parts grow one by one, by an eighth, so that growth never needs the whole table twice. */
const PART_SHIFT = 22;
const PARTS = 2 ** (32 - PART_SHIFT);
const POSITION_MASK = 2 ** PART_SHIFT - 1;
const FILL_MAX = 0.8;
const GROWTH = 1.125;
const CAPACITY_MIN = 8;

/**
 * Which nodes hold a block in memory: a hint. From a fingerprint of namespace and key to up to four members' slots.
 * Open addressing in 1,024 parts with linear probing; 20 to 22.5 bytes an entry. A node that goes is taken out by
 * retiring its slot: what names it is ignored at once, and cleaned as it is met and by `sweep`.
 */
export class Residency {
  readonly #parts: Uint32Array[] = new Array(PARTS).fill(new Uint32Array(0));
  readonly #used = new Uint32Array(PARTS);
  readonly #live: Uint8Array = new Uint8Array(65_536);
  readonly #print = new Uint32Array(2);
  #sweepAt = PARTS;
  #size = 0;
  #bytes = 0;

  /** Blocks of which a holder is known; some may name only nodes that are gone. */
  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A member's slot from now on counts. */
  admit(slot: number): void {
    this.#live[slot] = 1;
  }

  /** What names this slot no longer counts. A slot is never admitted again. */
  retire(slot: number): void {
    this.#live[slot] = 0;
    this.#sweepAt = 0;
  }

  /** Forgets every block; members stay. */
  forgetBlocks(): void {
    this.#parts.fill(new Uint32Array(0));
    this.#used.fill(0);
    this.#size = 0;
    this.#bytes = 0;
    this.#sweepAt = PARTS;
  }

  /** Notes that a node holds a block. A fifth holder is not noted. */
  add(low: number, high: number, slot: number): void {
    invariant(slot > 0 && this.#live[slot] === 1, 'only a live member holds blocks');
    const part = high >>> PART_SHIFT;
    if (this.#used[part]! + 1 > (this.#parts[part]!.length / ENTRY_WORDS) * FILL_MAX) this.#grow(part);
    const table = this.#parts[part]!;
    const at = seek(table, low >>> 0, high >>> 0);
    if (table[at] === 0 && table[at + 1] === 0) {
      table[at] = low;
      table[at + 1] = high;
      this.#used[part]!++;
      this.#size++;
    }
    let free = -1;
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      const held = holderOf(table, at, holder);
      if (held === slot) return;
      if (this.#live[held] === 0 && free < 0) free = holder;
    }
    if (free >= 0) setHolder(table, at, free, slot);
  }

  remove(low: number, high: number, slot: number): void {
    const part = high >>> PART_SHIFT;
    const table = this.#parts[part]!;
    if (table.length === 0) return;
    const at = seek(table, low >>> 0, high >>> 0);
    if (table[at] === 0 && table[at + 1] === 0) return;
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      if (holderOf(table, at, holder) === slot) setHolder(table, at, holder, 0);
    }
    if (!this.#isHeld(table, at)) this.#delete(part, at);
  }

  /** Writes the live holders of a block to the two words at `rows[to]`; answers whether there is any. */
  holders(low: number, high: number, rows: Uint32Array, to: number): boolean {
    rows[to] = 0;
    rows[to + 1] = 0;
    const table = this.#parts[high >>> PART_SHIFT]!;
    if (table.length === 0) return false;
    const at = seek(table, low >>> 0, high >>> 0);
    if (table[at] === 0 && table[at + 1] === 0) return false;
    let count = 0;
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      const slot = holderOf(table, at, holder);
      if (this.#live[slot] === 0) continue;
      rows[to + (count >>> 1)]! |= slot << (16 * (count & 1));
      count++;
    }
    return count > 0;
  }

  /** Fills the holders of location rows. */
  fill(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void {
    if (this.#size === 0) return;
    for (let i = 0; i < count; i++) {
      blockFingerprint(namespace, keys, i * KEY_WORDS, this.#print);
      const to = i * LOCATION_ROW_WORDS + LOCATION_ROW.holdersLo;
      this.holders(this.#print[0]!, this.#print[1]!, rows, to);
    }
  }

  /** Cleans the next `parts` parts of holders that are gone; answers whether any is left to be cleaned. */
  sweep(parts: number): boolean {
    for (let n = 0; n < parts && this.#sweepAt < PARTS; n++) this.#clean(this.#sweepAt++);
    return this.#sweepAt < PARTS;
  }

  #isHeld(table: Uint32Array, at: number): boolean {
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      if (this.#live[holderOf(table, at, holder)] !== 0) return true;
    }
    return false;
  }

  #clean(part: number): void {
    this.#rebuild(part, this.#parts[part]!.length / ENTRY_WORDS);
  }

  #grow(part: number): void {
    const capacity = this.#parts[part]!.length / ENTRY_WORDS;
    this.#rebuild(part, Math.max(CAPACITY_MIN, Math.ceil(capacity * GROWTH)));
  }

  /** Places what is still held anew. */
  #rebuild(part: number, capacity: number): void {
    const old = this.#parts[part]!;
    if (capacity === 0) return;
    const table = new Uint32Array(capacity * ENTRY_WORDS);
    let used = 0;
    for (let from = 0; from < old.length; from += ENTRY_WORDS) {
      if ((old[from] === 0 && old[from + 1] === 0) || !this.#isHeld(old, from)) continue;
      const at = seek(table, old[from]!, old[from + 1]!);
      for (let word = 0; word < ENTRY_WORDS; word++) table[at + word] = old[from + word]!;
      used++;
    }
    this.#size += used - this.#used[part]!;
    this.#bytes += table.byteLength - old.byteLength;
    this.#used[part] = used;
    this.#parts[part] = table;
  }

  /** Takes an entry out and moves back those behind it that would no longer be found. */
  #delete(part: number, at: number): void {
    const table = this.#parts[part]!;
    const capacity = table.length / ENTRY_WORDS;
    let hole = at / ENTRY_WORDS;
    for (let next = (hole + 1) % capacity; ; next = (next + 1) % capacity) {
      const from = next * ENTRY_WORDS;
      if (table[from] === 0 && table[from + 1] === 0) break;
      const wanted = home(table[from + 1]!, capacity);
      const away = (next - wanted + capacity) % capacity;
      if (away < (next - hole + capacity) % capacity) continue;
      table.copyWithin(hole * ENTRY_WORDS, from, from + ENTRY_WORDS);
      hole = next;
    }
    table.fill(0, hole * ENTRY_WORDS, (hole + 1) * ENTRY_WORDS);
    this.#used[part]!--;
    this.#size--;
  }
}

function home(high: number, capacity: number): number {
  return Math.floor(((high & POSITION_MASK) * capacity) / (POSITION_MASK + 1));
}

/** Where the fingerprint is, or the free place where it would go. There is always one: see `FILL_MAX`. */
function seek(table: Uint32Array, low: number, high: number): number {
  let at = home(high, table.length / ENTRY_WORDS) * ENTRY_WORDS;
  while (table[at] !== 0 || table[at + 1] !== 0) {
    if (table[at] === low && table[at + 1] === high) return at;
    at += ENTRY_WORDS;
    if (at === table.length) at = 0;
  }
  return at;
}

function holderOf(table: Uint32Array, at: number, holder: number): number {
  return (table[at + 2 + (holder >>> 1)]! >>> (16 * (holder & 1))) & 0xffff;
}

function setHolder(table: Uint32Array, at: number, holder: number, slot: number): void {
  const word = at + 2 + (holder >>> 1);
  const shift = 16 * (holder & 1);
  table[word] = (table[word]! & ~(0xffff << shift)) | (slot << shift);
}
