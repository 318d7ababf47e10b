import { invariant } from './errors.ts';
import { HashSlots } from './hash-slots.ts';
import { ordinaryMemory, type PageMemory } from './page-memory.ts';

/** Words of a key: 32 bytes. */
export const KEY_WORDS = 8;
/** Entries live in pages, so that growth copies nothing and little is reserved ahead. */
const PAGE_SHIFT = 14;
const PAGE_ENTRIES = 2 ** PAGE_SHIFT;
const PAGE_MASK = PAGE_ENTRIES - 1;
/** Keys a pass: what they touch fits the first levels of cache. */
const PASS_KEYS = 512;

/**
 * Flat map from (namespace, key) to a dense id from 0, without an object an entry. An entry is 36 bytes of key and
 * namespace plus `columns` words that belong to the caller, side by side, so that a search and what follows it meet
 * one place in memory; slots take about 10 bytes more. Ids of deleted keys are used again.
 * Keys are packed words, eight a key, as they travel.
 * @example
 * const table = new KeyTable({ seed, columns: 2 });
 * const id = table.insert(namespace, keys, 8 * i);
 * table.pageOf(id)[table.rowAt(id) + 1] = 7;
 */
export class KeyTable {
  readonly #slots = new HashSlots();
  readonly #pages: Uint32Array[] = [];
  readonly #memory: PageMemory;
  readonly #seed: number;
  readonly #entryWords: number;
  #hashes = new Uint32Array(PASS_KEYS);
  #passIds = new Int32Array(PASS_KEYS);
  #size = 0;
  #idEnd = 0;
  /** Ids to use again form a list through the first words of their keys; 0 ends it, else id + 1. */
  #free = 0;
  /** Keeps the compiler from leaving out reads that only warm the cache. */
  #touched = 0;

  /** `seed` is 32 random bits of this process; `memory` holds the pages of the entries, default ordinary memory. */
  constructor(options: { seed: number; columns?: number; memory?: PageMemory | undefined }) {
    this.#memory = options.memory ?? ordinaryMemory;
    this.#seed = options.seed | 0;
    this.#entryWords = KEY_WORDS + 1 + (options.columns ?? 0);
  }

  /** Gives the pages back; the table and its views are not used afterwards. */
  free(): void {
    for (const page of this.#pages.splice(0)) this.#memory.give(page);
  }

  /** Keys in the table. */
  get size(): number {
    return this.#size;
  }

  /** All ids are below this; some of them may be free. */
  get idEnd(): number {
    return this.#idEnd;
  }

  /** Bytes of memory behind the table, everything counted. */
  get bytes(): number {
    return 0 * this.#touched + this.#slots.bytes + this.#pages.length * PAGE_ENTRIES * this.#entryWords * 4;
  }

  /** Id of the key at `keys[wordOffset ..]`, or -1. */
  find(namespace: number, keys: Uint32Array, wordOffset: number): number {
    return this.#find(hashOf(this.#seed, namespace, keys, wordOffset), namespace, keys, wordOffset);
  }

  /**
   * Writes the ids of `count` packed keys to `out`, -1 where there is none. Goes over the keys once for each kind of
   * memory access, so that the cache misses of different keys overlap.
   */
  findMany(namespace: number, keys: Uint32Array, count: number, out: Int32Array): void {
    for (let from = 0; from < count; from += PASS_KEYS) {
      this.#findPass(namespace, keys, from, Math.min(PASS_KEYS, count - from), out);
    }
  }

  /** Adds a key that is not in the table and returns its id. The caller's columns hold whatever they held. */
  insert(namespace: number, keys: Uint32Array, wordOffset: number): number {
    const hash = hashOf(this.#seed, namespace, keys, wordOffset);
    invariant(this.#find(hash, namespace, keys, wordOffset) < 0, 'an inserted key is new');
    const id = this.reserve();
    const page = this.#pages[id >>> PAGE_SHIFT]!;
    const at = this.#entryAt(id);
    for (let word = 0; word < KEY_WORDS; word++) page[at + word] = keys[wordOffset + word]!;
    page[at + KEY_WORDS] = namespace;
    this.#slots.insert(hash, id);
    this.#size++;
    return id;
  }

  /** Takes an id that has no key; `release` gives it back. For restoring a table with its ids. */
  reserve(): number {
    if (this.#free === 0) {
      if (this.#idEnd === this.#pages.length * PAGE_ENTRIES) {
        this.#pages.push(this.#memory.take(PAGE_ENTRIES * this.#entryWords));
      }
      return this.#idEnd++;
    }
    const id = this.#free - 1;
    this.#free = this.#pages[id >>> PAGE_SHIFT]![this.#entryAt(id)]!;
    return id;
  }

  /** Removes the key of an id; the id will be given out again. */
  delete(id: number): void {
    this.unlink(id);
    this.release(id);
  }

  /** First half of `delete`: the key is no longer found, the id stays taken until `release`. */
  unlink(id: number): void {
    const page = this.#pages[id >>> PAGE_SHIFT]!;
    this.#slots.remove(hashOf(this.#seed, this.namespaceOf(id), page, this.#entryAt(id)), id);
    this.#size--;
  }

  /** Second half of `delete`: the id of an unlinked key may be given out again. */
  release(id: number): void {
    this.#pages[id >>> PAGE_SHIFT]![this.#entryAt(id)] = this.#free;
    this.#free = id + 1;
  }

  /** The page that holds the caller's columns of an id, at `rowAt(id)`; `undefined` for an id never given out. */
  pageOf(id: number): Uint32Array | undefined {
    return this.#pages[id >>> PAGE_SHIFT];
  }

  rowAt(id: number): number {
    return this.#entryAt(id) + KEY_WORDS + 1;
  }

  /** Copies the key of an id to `target[wordOffset ..]`. */
  copyKey(id: number, target: Uint32Array, wordOffset: number): void {
    const page = this.#pages[id >>> PAGE_SHIFT]!;
    const at = this.#entryAt(id);
    for (let word = 0; word < KEY_WORDS; word++) target[wordOffset + word] = page[at + word]!;
  }

  /** The key of an id: a view on the table, valid until the id is deleted. */
  keyOf(id: number): Uint32Array {
    const at = this.#entryAt(id);
    return this.#pages[id >>> PAGE_SHIFT]!.subarray(at, at + KEY_WORDS);
  }

  namespaceOf(id: number): number {
    return this.#pages[id >>> PAGE_SHIFT]![this.#entryAt(id) + KEY_WORDS]!;
  }

  #entryAt(id: number): number {
    return (id & PAGE_MASK) * this.#entryWords;
  }

  #findPass(namespace: number, keys: Uint32Array, from: number, count: number, out: Int32Array): void {
    const hashes = this.#hashes;
    const ids = this.#passIds;
    const pages = this.#pages;
    for (let i = 0; i < count; i++) hashes[i] = hashOf(this.#seed, namespace, keys, KEY_WORDS * (from + i));
    this.#slots.seekMany(hashes, count, ids);
    let touched = 0;
    for (let i = 0; i < count; i++) {
      const id = ids[i]!;
      if (id < 0) continue;
      const page = pages[id >>> PAGE_SHIFT]!;
      const at = this.#entryAt(id);
      touched |= page[at]! | page[at + KEY_WORDS]!;
    }
    this.#touched = touched;
    for (let i = 0; i < count; i++) {
      const id = ids[i]!;
      const at = KEY_WORDS * (from + i);
      // Two keys of one hash are so rare that compiled code would not know what to do and be thrown away in the middle
      // of a call (10 ms); so the first key of each pass goes that way too.
      const isFound = id < 0 || (i > 0 && this.#matches(id, namespace, keys, at));
      out[from + i] = isFound ? id : this.#find(hashes[i]!, namespace, keys, at);
    }
  }

  #find(hash: number, namespace: number, keys: Uint32Array, wordOffset: number): number {
    for (let slot = this.#slots.seek(hash, -1); slot >= 0; slot = this.#slots.seek(hash, slot + 1)) {
      const id = this.#slots.idAt(hash, slot);
      if (this.#matches(id, namespace, keys, wordOffset)) return id;
    }
    return -1;
  }

  #matches(id: number, namespace: number, keys: Uint32Array, wordOffset: number): boolean {
    const page = this.#pages[id >>> PAGE_SHIFT]!;
    const at = this.#entryAt(id);
    return (
      page[at] === keys[wordOffset] &&
      page[at + 1] === keys[wordOffset + 1] &&
      page[at + 2] === keys[wordOffset + 2] &&
      page[at + 3] === keys[wordOffset + 3] &&
      page[at + 4] === keys[wordOffset + 4] &&
      page[at + 5] === keys[wordOffset + 5] &&
      page[at + 6] === keys[wordOffset + 6] &&
      page[at + 7] === keys[wordOffset + 7] &&
      page[at + KEY_WORDS] === namespace
    );
  }
}

/** Eight rounds of xor, rotation and multiplication, then the finalizer of MurmurHash3 (Appleby, public domain). */
function hashOf(seed: number, namespace: number, keys: Uint32Array, at: number): number {
  let hash = seed ^ Math.imul(namespace + 1, 0x9e3779b1);
  for (let word = 0; word < KEY_WORDS; word++) {
    hash ^= keys[at + word]!;
    hash = Math.imul((hash << 15) | (hash >>> 17), 0xcc9e2d51);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
