import {
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  ENTRY_NONE,
  KEY_WORDS,
  KeyTable,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
} from '@refill/interface';

/** A location row but for `found`. */
const COLUMNS = LOCATION_ROW_WORDS - 1;
/** Bytes an entry: key, namespace, columns, slots. */
export const CACHED_BYTES: number = 4 * (KEY_WORDS + 1 + COLUMNS) + 10;
const PASS_KEYS = 1024;
/** A generation is not smaller than a page of its table, or making new ones would cost more than it saves. */
const ENTRIES_MIN = 16_384;

/**
 * Where blocks are, as answered before: locations never change, so one that is stale ends in a file that is gone and
 * a fresh lookup. Bounded by two generations: the young one takes what is new and what is used again; when it is full
 * it becomes the old one, and what was old goes.
 */
export class LocationCache {
  readonly #seed: number;
  readonly #entriesMax: number;
  #young: KeyTable;
  #old: KeyTable;
  #ids = new Int32Array(PASS_KEYS);
  readonly #key = new Uint32Array(KEY_WORDS);

  /** `bytesMax` bounds both generations together; 0 remembers nothing. */
  constructor(options: { seed: number; bytesMax: number }) {
    this.#seed = options.seed;
    const entries = Math.floor(options.bytesMax / 2 / CACHED_BYTES);
    this.#entriesMax = options.bytesMax === 0 ? 0 : Math.max(ENTRIES_MIN, entries);
    this.#young = this.#table();
    this.#old = this.#table();
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get bytes(): number {
    return this.#young.bytes + this.#old.bytes;
  }

  clear(): void {
    this.#young.free();
    this.#old.free();
    this.#young = this.#table();
    this.#old = this.#table();
  }

  /**
   * Fills the rows of keys that are known and whose segment `isReadable`, from position `from` on; writes the positions
   * of the others to `missing` and returns how many they are. With `stopAtFirst` it stops at the first of those.
   */
  locate(
    namespace: number,
    keys: Uint32Array,
    count: number,
    rows: Uint32Array | undefined,
    missing: Int32Array,
    isReadable: (segment: number) => boolean,
    stopAtFirst = false,
  ): number {
    let missed = 0;
    let readable = -1;
    // Most nodes never fill a generation: then a key that is new here costs one search, not three.
    const hasOld = this.#old.size > 0;
    for (let from = 0; from < count; from += PASS_KEYS) {
      const length = Math.min(PASS_KEYS, count - from);
      const part = from === 0 && length === count ? keys : keys.subarray(from * KEY_WORDS);
      this.#young.findMany(namespace, part, length, this.#ids);
      for (let i = 0; i < length; i++) {
        let id = this.#ids[i]!;
        if (id < 0 && hasOld) id = this.#promote(namespace, keys, from + i);
        if (id >= 0) {
          const page = this.#young.pageOf(id)!;
          const at = this.#young.rowAt(id) - 1;
          const segment = page[at + LOCATION_ROW.segment]!;
          if (segment === readable || isReadable(segment)) {
            readable = segment;
            if (rows === undefined) continue;
            const to = (from + i) * LOCATION_ROW_WORDS;
            rows[to] = 1;
            for (let word = 1; word < LOCATION_ROW_WORDS; word++) rows[to + word] = page[at + word]!;
            continue;
          }
        }
        missing[missed++] = from + i;
        if (stopAtFirst) return missed;
      }
    }
    return missed;
  }

  /** Remembers the location of row `at` of `rows`, if one was found. */
  add(namespace: number, keys: Uint32Array, index: number, rows: Uint32Array, at: number): void {
    const from = at * LOCATION_ROW_WORDS;
    if (rows[from + LOCATION_ROW.found] === 0 || this.#entriesMax === 0) return;
    const id = this.#place(namespace, keys, index * KEY_WORDS);
    const page = this.#young.pageOf(id)!;
    const to = this.#young.rowAt(id) - 1;
    for (let word = 1; word < LOCATION_ROW_WORDS; word++) page[to + word] = rows[from + word]!;
  }

  /** Remembers a block that this node has just committed. */
  addCommitted(rows: Uint32Array, index: number): void {
    const from = index * COMMIT_ROW_WORDS;
    if (this.#entriesMax === 0) return;
    const id = this.#place(rows[from + COMMIT_ROW.namespace]!, rows, from + COMMIT_ROW.key);
    const page = this.#young.pageOf(id)!;
    const to = this.#young.rowAt(id) - 1;
    page[to + LOCATION_ROW.segment] = rows[from + COMMIT_ROW.segment]!;
    page[to + LOCATION_ROW.offsetPages] = rows[from + COMMIT_ROW.offsetPages]!;
    page[to + LOCATION_ROW.lengthBytes] = rows[from + COMMIT_ROW.lengthBytes]!;
    page[to + LOCATION_ROW.storedBytes] = rows[from + COMMIT_ROW.storedBytes]!;
    page[to + LOCATION_ROW.checksumLo] = rows[from + COMMIT_ROW.checksumLo]!;
    page[to + LOCATION_ROW.checksumHi] = rows[from + COMMIT_ROW.checksumHi]!;
    page[to + LOCATION_ROW.tokens] = rows[from + COMMIT_ROW.tokens]!;
    page[to + LOCATION_ROW.flags] = rows[from + COMMIT_ROW.flags]!;
    page[to + LOCATION_ROW.entry] = ENTRY_NONE;
    page[to + LOCATION_ROW.holdersLo] = 0;
    page[to + LOCATION_ROW.holdersHi] = 0;
  }

  remove(namespace: number, keys: Uint32Array, at: number): void {
    for (const table of [this.#young, this.#old]) {
      const id = table.find(namespace, keys, at);
      if (id >= 0) table.delete(id);
    }
  }

  /** Forgets a block if it is remembered at this location. */
  removeAt(namespace: number, key: Uint32Array, segment: number, offsetPages: number): void {
    for (const table of [this.#young, this.#old]) {
      const id = table.find(namespace, key, 0);
      if (id < 0) continue;
      const page = table.pageOf(id)!;
      const at = table.rowAt(id) - 1;
      if (page[at + LOCATION_ROW.segment] !== segment || page[at + LOCATION_ROW.offsetPages] !== offsetPages)
        continue;
      table.delete(id);
    }
  }

  #table(): KeyTable {
    return new KeyTable({ seed: this.#seed, columns: COLUMNS });
  }

  /** Entry of a key in the young generation, taken over from the old one; -1 when it is in neither. */
  #promote(namespace: number, keys: Uint32Array, index: number): number {
    // A key that came twice, or that another promotion has pushed out of the generation that was asked.
    const young = this.#young.find(namespace, keys, index * KEY_WORDS);
    if (young >= 0) return young;
    const old = this.#old.find(namespace, keys, index * KEY_WORDS);
    if (old < 0) return -1;
    const page = this.#old.pageOf(old)!;
    const from = this.#old.rowAt(old);
    const columns = page.slice(from, from + COLUMNS);
    this.#old.delete(old);
    const id = this.#place(namespace, keys, index * KEY_WORDS);
    this.#young.pageOf(id)!.set(columns, this.#young.rowAt(id));
    return id;
  }

  /** Entry of a key in the young generation, new or not. */
  #place(namespace: number, keys: Uint32Array, at: number): number {
    const known = this.#young.find(namespace, keys, at);
    if (known >= 0) return known;
    if (this.#young.size >= this.#entriesMax) {
      this.#old.free();
      this.#old = this.#young;
      this.#young = this.#table();
    }
    this.#key.set(keys.subarray(at, at + KEY_WORDS));
    return this.#young.insert(namespace, this.#key, 0);
  }
}
