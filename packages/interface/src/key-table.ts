import { invariant } from './errors.ts';
import { HashSlots } from './hash-slots.ts';

/** Words of a key: 32 bytes. */
export const KEY_WORDS = 8;
/** Keys live in pages, so that growth copies nothing and little is reserved ahead. */
const PAGE_SHIFT = 14;
const PAGE_ENTRIES = 2 ** PAGE_SHIFT;
const PAGE_MASK = PAGE_ENTRIES - 1;

/**
 * Flat map from (namespace, key) to a dense id from 0, without an object an entry: 34 bytes of key and namespace and
 * about 10 bytes of slots. Columns of the caller are indexed by id; ids of deleted keys are used again.
 * Keys are packed words, eight a key, as they travel.
 * @example
 * const table = new KeyTable({ seed });
 * const id = table.find(namespace, keys, 8 * i);
 */
export class KeyTable {
  readonly #slots = new HashSlots();
  readonly #keys: Uint32Array[] = [];
  readonly #namespaces: Uint16Array[] = [];
  readonly #seed: number;
  #hashes = new Uint32Array(256);
  #size = 0;
  #idEnd = 0;
  /** Ids to use again form a list through the first words of their keys; 0 ends it, else id + 1. */
  #free = 0;

  /** `seed` is 32 random bits of this process: nobody outside can prepare keys that collide. */
  constructor(options: { seed: number }) {
    this.#seed = options.seed | 0;
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
    return this.#slots.bytes + this.#keys.length * PAGE_ENTRIES * (KEY_WORDS * 4 + 2);
  }

  /** Id of the key at `keys[wordOffset ..]`, or -1. */
  find(namespace: number, keys: Uint32Array, wordOffset: number): number {
    return this.#find(hashOf(this.#seed, namespace, keys, wordOffset), namespace, keys, wordOffset);
  }

  /**
   * Writes the ids of `count` packed keys to `out`, -1 where there is none. Goes over all keys once for each kind of
   * memory access, so that the cache misses of different keys overlap.
   */
  findMany(namespace: number, keys: Uint32Array, count: number, out: Int32Array): void {
    if (this.#hashes.length < count) this.#hashes = new Uint32Array(count);
    const hashes = this.#hashes;
    for (let i = 0; i < count; i++) hashes[i] = hashOf(this.#seed, namespace, keys, KEY_WORDS * i);
    this.#slots.seekMany(hashes, count, out);
    for (let i = 0; i < count; i++) {
      const id = out[i]!;
      if (id >= 0 && !this.#matches(id, namespace, keys, KEY_WORDS * i)) {
        out[i] = this.#find(hashes[i]!, namespace, keys, KEY_WORDS * i);
      }
    }
  }

  /** Adds a key that is not in the table and returns its id. */
  insert(namespace: number, keys: Uint32Array, wordOffset: number): number {
    const hash = hashOf(this.#seed, namespace, keys, wordOffset);
    invariant(this.#find(hash, namespace, keys, wordOffset) < 0, 'an inserted key is new');
    const id = this.reserve();
    const page = id >>> PAGE_SHIFT;
    const words = this.#keys[page]!;
    const at = (id & PAGE_MASK) * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) words[at + word] = keys[wordOffset + word]!;
    this.#namespaces[page]![id & PAGE_MASK] = namespace;
    this.#slots.insert(hash, id);
    this.#size++;
    return id;
  }

  /** Takes an id that has no key; `release` gives it back. For restoring a table with its ids. */
  reserve(): number {
    if (this.#free === 0) {
      if (this.#idEnd === this.#keys.length * PAGE_ENTRIES) {
        this.#keys.push(new Uint32Array(PAGE_ENTRIES * KEY_WORDS));
        this.#namespaces.push(new Uint16Array(PAGE_ENTRIES));
      }
      return this.#idEnd++;
    }
    const id = this.#free - 1;
    this.#free = this.#keys[id >>> PAGE_SHIFT]![(id & PAGE_MASK) * KEY_WORDS]!;
    return id;
  }

  /** Removes the key of an id; the id will be given out again. */
  delete(id: number): void {
    this.unlink(id);
    this.release(id);
  }

  /** First half of `delete`: the key is no longer found, the id stays taken until `release`. */
  unlink(id: number): void {
    const words = this.#keys[id >>> PAGE_SHIFT]!;
    this.#slots.remove(hashOf(this.#seed, this.namespaceOf(id), words, (id & PAGE_MASK) * KEY_WORDS), id);
    this.#size--;
  }

  /** Second half of `delete`: the id of an unlinked key may be given out again. */
  release(id: number): void {
    this.#keys[id >>> PAGE_SHIFT]![(id & PAGE_MASK) * KEY_WORDS] = this.#free;
    this.#free = id + 1;
  }

  /** Copies the key of an id to `target[wordOffset ..]`. */
  copyKey(id: number, target: Uint32Array, wordOffset: number): void {
    const words = this.#keys[id >>> PAGE_SHIFT]!;
    const at = (id & PAGE_MASK) * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) target[wordOffset + word] = words[at + word]!;
  }

  /** The key of an id: a view on the table, valid until the id is deleted. */
  keyOf(id: number): Uint32Array {
    const at = (id & PAGE_MASK) * KEY_WORDS;
    return this.#keys[id >>> PAGE_SHIFT]!.subarray(at, at + KEY_WORDS);
  }

  namespaceOf(id: number): number {
    return this.#namespaces[id >>> PAGE_SHIFT]![id & PAGE_MASK]!;
  }

  #find(hash: number, namespace: number, keys: Uint32Array, wordOffset: number): number {
    for (let slot = this.#slots.seek(hash, -1); slot >= 0; slot = this.#slots.seek(hash, slot + 1)) {
      const id = this.#slots.idAt(hash, slot);
      if (this.#matches(id, namespace, keys, wordOffset)) return id;
    }
    return -1;
  }

  #matches(id: number, namespace: number, keys: Uint32Array, wordOffset: number): boolean {
    const page = id >>> PAGE_SHIFT;
    const words = this.#keys[page]!;
    const at = (id & PAGE_MASK) * KEY_WORDS;
    return (
      words[at] === keys[wordOffset] &&
      words[at + 1] === keys[wordOffset + 1] &&
      words[at + 2] === keys[wordOffset + 2] &&
      words[at + 3] === keys[wordOffset + 3] &&
      words[at + 4] === keys[wordOffset + 4] &&
      words[at + 5] === keys[wordOffset + 5] &&
      words[at + 6] === keys[wordOffset + 6] &&
      words[at + 7] === keys[wordOffset + 7] &&
      this.#namespaces[page]![id & PAGE_MASK] === namespace
    );
  }
}

/** MurmurHash3 (Appleby, public domain) of the eight words, seeded by process and namespace. */
function hashOf(seed: number, namespace: number, keys: Uint32Array, at: number): number {
  let hash = seed ^ Math.imul(namespace + 1, 0x9e3779b1);
  for (let word = 0; word < KEY_WORDS; word++) {
    let mixed = Math.imul(keys[at + word]!, 0xcc9e2d51);
    mixed = (mixed << 15) | (mixed >>> 17);
    hash ^= Math.imul(mixed, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
