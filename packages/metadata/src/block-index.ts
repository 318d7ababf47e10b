import {
  COMMIT_ROW,
  ENTRY_NONE,
  invariant,
  KeyTable,
  LOCATION_ROW,
  type PageMemory,
} from '@refill/interface';

/** One row of an entry: the columns that the key table keeps beside its key. */
export const INDEX_ROW_WORDS = 12;
export const INDEX_ROW = {
  segment: 0,
  offsetPages: 1,
  /** 0 for an entry without a block. */
  lengthBytes: 2,
  /** Low 29 bits; the flags are in the three above. */
  storedBytesAndFlags: 3,
  checksumLo: 4,
  checksumHi: 5,
  tokens: 6,
  /** Entry of the parent block, or `ENTRY_NONE`. It may have lost its block; it stays taken while it has children. */
  parent: 7,
  family: 8,
  shard: 9,
  /** Seconds since 1970. */
  lastUsed: 10,
  /** Entries whose parent this is. */
  children: 11,
} as const;

const STORED_BITS = 29;
const STORED_MASK = 2 ** STORED_BITS - 1;

/**
 * The block index in memory: (namespace, key) to location, without an object a block. 84 bytes an entry and about 10
 * of slots. An entry without a block is kept while other entries name it as their parent, so that an id is never
 * taken for another block's.
 */
export class BlockIndex {
  readonly #table: KeyTable;

  constructor(options: { seed: number; memory?: PageMemory | undefined }) {
    this.#table = new KeyTable({ ...options, columns: INDEX_ROW_WORDS });
  }

  /** Gives the memory back; the index is not used afterwards. */
  free(): void {
    this.#table.free();
  }

  /** Blocks in the index. */
  get size(): number {
    return this.#table.size;
  }

  /** Entries are below this; some may be without a block. */
  get entryEnd(): number {
    return this.#table.idEnd;
  }

  /** Bytes of memory, everything counted. */
  get bytes(): number {
    return this.#table.bytes;
  }

  /** Entry of the block, or -1. */
  find(namespace: number, keys: Uint32Array, wordOffset: number): number {
    return this.#table.find(namespace, keys, wordOffset);
  }

  findMany(namespace: number, keys: Uint32Array, count: number, entries: Int32Array): void {
    this.#table.findMany(namespace, keys, count, entries);
  }

  /** Adds the block of a commit row whose key is not in the index. */
  insert(rows: Uint32Array, at: number, nowSeconds: number): number {
    const namespace = rows[at + COMMIT_ROW.namespace]!;
    const parent = this.#parentOf(namespace, rows, at);
    const entry = this.#table.insert(namespace, rows, at + COMMIT_ROW.key);
    const page = this.#table.pageOf(entry)!;
    const row = this.#table.rowAt(entry);
    const lengthBytes = rows[at + COMMIT_ROW.lengthBytes]!;
    invariant(lengthBytes > 0 && lengthBytes <= STORED_MASK, 'a block has a length of 29 bits');
    page[row + INDEX_ROW.segment] = rows[at + COMMIT_ROW.segment]!;
    page[row + INDEX_ROW.offsetPages] = rows[at + COMMIT_ROW.offsetPages]!;
    page[row + INDEX_ROW.lengthBytes] = lengthBytes;
    page[row + INDEX_ROW.storedBytesAndFlags] =
      rows[at + COMMIT_ROW.storedBytes]! | (rows[at + COMMIT_ROW.flags]! << STORED_BITS);
    page[row + INDEX_ROW.checksumLo] = rows[at + COMMIT_ROW.checksumLo]!;
    page[row + INDEX_ROW.checksumHi] = rows[at + COMMIT_ROW.checksumHi]!;
    page[row + INDEX_ROW.tokens] = rows[at + COMMIT_ROW.tokens]!;
    page[row + INDEX_ROW.parent] = ENTRY_NONE;
    page[row + INDEX_ROW.family] = rows[at + COMMIT_ROW.family]!;
    page[row + INDEX_ROW.shard] = rows[at + COMMIT_ROW.shard]!;
    page[row + INDEX_ROW.lastUsed] = nowSeconds;
    page[row + INDEX_ROW.children] = 0;
    if (parent >= 0) this.adopt(entry, parent);
    return entry;
  }

  /** Removes the block of an entry. */
  remove(entry: number): void {
    const parent = this.word(entry, INDEX_ROW.parent);
    this.#table.unlink(entry);
    const row = this.#table.rowAt(entry);
    const page = this.#table.pageOf(entry)!;
    const children = page[row + INDEX_ROW.children]!;
    page.fill(0, row, row + INDEX_ROW_WORDS);
    page[row + INDEX_ROW.parent] = ENTRY_NONE;
    page[row + INDEX_ROW.children] = children;
    if (children === 0) this.#table.release(entry);
    if (parent !== ENTRY_NONE) this.#loseChild(parent);
  }

  /** Links an entry that has no parent yet. */
  adopt(entry: number, parent: number): void {
    this.#table.pageOf(entry)![this.#table.rowAt(entry) + INDEX_ROW.parent] = parent;
    this.#table.pageOf(parent)![this.#table.rowAt(parent) + INDEX_ROW.children]!++;
  }

  /** One column of an entry. */
  word(entry: number, column: number): number {
    return this.#table.pageOf(entry)![this.#table.rowAt(entry) + column]!;
  }

  storedBytes(entry: number): number {
    return this.word(entry, INDEX_ROW.storedBytesAndFlags) & STORED_MASK;
  }

  namespaceOf(entry: number): number {
    return this.#table.namespaceOf(entry);
  }

  copyKey(entry: number, target: Uint32Array, wordOffset: number): void {
    this.#table.copyKey(entry, target, wordOffset);
  }

  /** Fills a location row. */
  locate(entry: number, rows: Uint32Array, at: number): void {
    const page = this.#table.pageOf(entry)!;
    const row = this.#table.rowAt(entry);
    const stored = page[row + INDEX_ROW.storedBytesAndFlags]!;
    rows[at + LOCATION_ROW.found] = 1;
    rows[at + LOCATION_ROW.segment] = page[row + INDEX_ROW.segment]!;
    rows[at + LOCATION_ROW.offsetPages] = page[row + INDEX_ROW.offsetPages]!;
    rows[at + LOCATION_ROW.lengthBytes] = page[row + INDEX_ROW.lengthBytes]!;
    rows[at + LOCATION_ROW.storedBytes] = stored & STORED_MASK;
    rows[at + LOCATION_ROW.checksumLo] = page[row + INDEX_ROW.checksumLo]!;
    rows[at + LOCATION_ROW.checksumHi] = page[row + INDEX_ROW.checksumHi]!;
    rows[at + LOCATION_ROW.tokens] = page[row + INDEX_ROW.tokens]!;
    rows[at + LOCATION_ROW.flags] = stored >>> STORED_BITS;
    rows[at + LOCATION_ROW.entry] = entry;
    rows[at + LOCATION_ROW.holdersLo] = 0;
    rows[at + LOCATION_ROW.holdersHi] = 0;
  }

  /** Notes a use; an entry that has no block (any more) is passed over. */
  touch(entry: number, nowSeconds: number): void {
    const page = this.#table.pageOf(entry);
    const row = this.#table.rowAt(entry);
    if (page === undefined || page[row + INDEX_ROW.lengthBytes] === 0) return;
    if (page[row + INDEX_ROW.lastUsed]! < nowSeconds) page[row + INDEX_ROW.lastUsed] = nowSeconds;
  }

  /** Copies the row of an entry, as checkpoints keep it. */
  copyRow(entry: number, target: Uint32Array, at: number): void {
    const row = this.#table.rowAt(entry);
    const page = this.#table.pageOf(entry)!;
    for (let word = 0; word < INDEX_ROW_WORDS; word++) target[at + word] = page[row + word]!;
  }

  /**
   * Takes the next entry from a checkpoint, with the same number as when it was written. Entries without a block
   * come with length 0; those without children too are given back by `endRestore`.
   */
  restore(namespace: number, keys: Uint32Array, keyAt: number, rows: Uint32Array, at: number): void {
    const live = rows[at + INDEX_ROW.lengthBytes] !== 0;
    const entry = live ? this.#table.insert(namespace, keys, keyAt) : this.#table.reserve();
    const page = this.#table.pageOf(entry)!;
    const row = this.#table.rowAt(entry);
    for (let word = 0; word < INDEX_ROW_WORDS; word++) page[row + word] = rows[at + word]!;
  }

  endRestore(): void {
    for (let entry = this.entryEnd - 1; entry >= 0; entry--) {
      if (this.word(entry, INDEX_ROW.lengthBytes) !== 0) continue;
      if (this.word(entry, INDEX_ROW.children) === 0) this.#table.release(entry);
    }
  }

  #parentOf(namespace: number, rows: Uint32Array, at: number): number {
    return hasParent(rows, at) ? this.#table.find(namespace, rows, at + COMMIT_ROW.parent) : -1;
  }

  #loseChild(parent: number): void {
    const page = this.#table.pageOf(parent)!;
    const row = this.#table.rowAt(parent);
    invariant(page[row + INDEX_ROW.children]! > 0, 'a parent counts its children');
    page[row + INDEX_ROW.children]!--;
    if (page[row + INDEX_ROW.children] === 0 && page[row + INDEX_ROW.lengthBytes] === 0) {
      this.#table.release(parent);
    }
  }
}

/** Whether a commit row names a parent: a root has zeros there. */
export function hasParent(rows: Uint32Array, at: number): boolean {
  let any = 0;
  for (let word = 0; word < 8; word++) any |= rows[at + COMMIT_ROW.parent + word]!;
  return any !== 0;
}
