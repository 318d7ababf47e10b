import {
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  type Directory,
  ENTRY_NONE,
  KEY_WORDS,
  KeyTable,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  type NamespaceRecord,
  type SegmentRecord,
  type SegmentState,
} from '@refill/interface';
import { fillCommitRow } from '../fill-rows.ts';
import { sameBytes } from '../segment/segment-bytes.ts';
import type { SegmentDirectory } from '../segment/segment-directory.ts';
import { LOAD_ROW, LOAD_ROW_WORDS, SEGMENT_NONE } from '../shared-tier.ts';
import { type NvmeSegment, NvmeSegments } from './nvme-segments.ts';
import { ORIGIN } from './origin.ts';

/** Columns of an entry: where the copy lies, and of what it is one. */
const COLUMNS = 8;
const COLUMN = {
  /** 0 for an entry that is not in use. */
  segment: 0,
  offsetPages: 1,
  lengthBytes: 2,
  checksumLo: 3,
  checksumHi: 4,
  /** First half of the random id of the segment on the shared file system, and the offset there. */
  originLo: 5,
  originHi: 6,
  originPages: 7,
} as const;

export interface NvmeIndexParts {
  /** The cluster's: says which namespaces and shared segments there are. */
  directory: Pick<Directory, 'namespace' | 'segment' | 'version'>;
  seed: number;
}

export interface NvmeIndexOptions {
  capacityBytes: number;
  /** Entries that may be in memory, some 90 bytes each. */
  entriesMax: number;
}

/**
 * What the local disk holds, in memory alone: made anew from the files at every start. To those who read and write its
 * segments it is their directory. Entries go by the cluster's index of a namespace; a namespace that has come to be
 * another one loses them.
 */
export class NvmeIndex implements SegmentDirectory {
  readonly version = 0;
  readonly segmentsHeld: NvmeSegments;
  readonly #directory: NvmeIndexParts['directory'];
  readonly #table: KeyTable;
  readonly #entriesMax: number;
  readonly #namespaceIds = new Map<number, Uint8Array>();
  /** Makes sure of room for a new file of so many bytes, evicting others: rejects when there is none. Set by the tier. */
  makeRoom: (sizeBytes: number) => Promise<void> = async () => {};
  segmentsEvicted = 0;
  blocksEvicted = 0;
  /** Blocks that were given up because their bytes were damaged or gone. */
  lost = 0;
  readonly #origin = { segment: SEGMENT_NONE, version: -1, isThere: false, lo: 0, hi: 0 };
  readonly #row = new Uint32Array(COMMIT_ROW_WORDS);
  #keys = new Uint32Array(0);
  #ids = new Int32Array(0);

  constructor({ directory, seed }: NvmeIndexParts, { capacityBytes, entriesMax }: NvmeIndexOptions) {
    this.#directory = directory;
    this.#table = new KeyTable({ seed, columns: COLUMNS });
    this.#entriesMax = entriesMax;
    this.segmentsHeld = new NvmeSegments(capacityBytes);
  }

  get blocks(): number {
    return this.#table.size;
  }

  get bytes(): number {
    return this.#table.bytes;
  }

  /** As the cluster has it, but for compression: what a copy saves of space a read would pay in time. */
  namespace(index: number): NamespaceRecord | undefined {
    const record = this.#directory.namespace(index);
    return record && { ...record, policy: { ...record.policy, compress: false } };
  }

  async createSegment(record: Parameters<Directory['createSegment']>[0]): Promise<SegmentRecord> {
    // Looked at anew after each wait: another may have taken the room.
    while (record.restored !== true && !this.segmentsHeld.hasRoom(record.sizeBytes))
      await this.makeRoom(record.sizeBytes);
    return this.segmentsHeld.add(record);
  }

  async moveSegment(index: number, from: SegmentState, to: SegmentState, endBytes: number): Promise<boolean> {
    const segment = this.segmentsHeld.get(index);
    if (segment === undefined || segment.state !== from) return false;
    this.segmentsHeld.move(segment, to, endBytes);
    // What failed to be written serves what was committed, and goes like the others.
    if (to !== 'dead' && segment.liveBlocks === 0) this.#kill(segment);
    return true;
  }

  async forgetSegment(index: number): Promise<void> {
    this.segmentsHeld.forget(index);
  }

  segment(index: number): NvmeSegment | undefined {
    return this.segmentsHeld.get(index);
  }

  segments(): SegmentRecord[] {
    return this.segmentsHeld.all;
  }

  reclaimable(): SegmentRecord[] {
    return this.segmentsHeld.all.filter(({ state }) => state === 'dead');
  }

  mayUnlink(): boolean {
    return true;
  }

  lookup(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void {
    for (let i = 0; i < count; i++) {
      const to = i * LOCATION_ROW_WORDS;
      rows.fill(0, to, to + LOCATION_ROW_WORDS);
      rows[to + LOCATION_ROW.entry] = ENTRY_NONE;
      const id = this.#table.find(namespace, keys, i * KEY_WORDS);
      if (id < 0) continue;
      const [page, at] = [this.#table.pageOf(id)!, this.#table.rowAt(id)];
      rows[to + LOCATION_ROW.found] = 1;
      rows[to + LOCATION_ROW.segment] = page[at + COLUMN.segment]!;
      rows[to + LOCATION_ROW.offsetPages] = page[at + COLUMN.offsetPages]!;
      rows[to + LOCATION_ROW.lengthBytes] = page[at + COLUMN.lengthBytes]!;
      rows[to + LOCATION_ROW.storedBytes] = page[at + COLUMN.lengthBytes]!;
      rows[to + LOCATION_ROW.checksumLo] = page[at + COLUMN.checksumLo]!;
      rows[to + LOCATION_ROW.checksumHi] = page[at + COLUMN.checksumHi]!;
    }
  }

  async commit(
    _node: string,
    _epoch: number,
    rows: Uint32Array,
    count: number,
    accepted: Uint8Array,
  ): Promise<void> {
    for (let i = 0; i < count; i++) accepted[i] = this.#place(rows, i * COMMIT_ROW_WORDS) ? 1 : 0;
  }

  /** Takes in block `block` of a batch that an earlier start wrote. */
  restore(entries: Uint32Array, block: number, segment: NvmeSegment): boolean {
    fillCommitRow(this.#row, 0, entries, block, segment.namespace, segment.index);
    return this.#place(this.#row, 0);
  }

  async remove(namespace: number, keys: Uint32Array, count: number): Promise<number> {
    let removed = 0;
    for (let i = 0; i < count; i++) {
      const id = this.#table.find(namespace, keys, i * KEY_WORDS);
      if (id < 0) continue;
      this.#delete(id);
      removed++;
    }
    return removed;
  }

  /** All files are this node's: one that is gone took its blocks along. */
  removeGone(namespace: number, key: Uint32Array, segment: number, offsetPages: number): Promise<boolean> {
    return this.removeAt(namespace, key, segment, offsetPages);
  }

  async removeAt(
    namespace: number,
    key: Uint32Array,
    segment: number,
    offsetPages: number,
  ): Promise<boolean> {
    const id = this.#table.find(namespace, key, 0);
    if (id < 0) return false;
    const [page, at] = [this.#table.pageOf(id)!, this.#table.rowAt(id)];
    if (page[at + COLUMN.segment] !== segment || page[at + COLUMN.offsetPages] !== offsetPages) return false;
    this.#delete(id);
    this.lost++;
    return true;
  }

  /** Whether the copy of these bytes of a key is here. */
  holds(
    namespace: number,
    keys: Uint32Array,
    wordOffset: number,
    segment: number,
    offsetPages: number,
  ): boolean {
    return this.#isOf(this.#table.find(namespace, keys, wordOffset), segment, offsetPages);
  }

  /** As `BlockSource.mayHold`. */
  mayHold(rows: Uint32Array, row: number): boolean {
    return rows[row + LOAD_ROW.sourceBuffer] === 0 && this.#find(rows, row) >= 0;
  }

  /** As `BlockSource.markHeld`: finds all keys of a namespace together, so that their cache misses overlap. */
  markHeld(rows: Uint32Array, count: number, holders: Uint32Array, bit: number): void {
    if (this.#table.size === 0 || count === 0) return;
    if (this.#ids.length < count) {
      this.#ids = new Int32Array(count);
      this.#keys = new Uint32Array(count * KEY_WORDS);
    }
    const [ids, keys] = [this.#ids, this.#keys];
    for (let from = 0; from < count; ) {
      const namespace = rows[from * LOAD_ROW_WORDS + LOAD_ROW.namespace]!;
      let to = from;
      for (; to < count && rows[to * LOAD_ROW_WORDS + LOAD_ROW.namespace] === namespace; to++) {
        const key = to * LOAD_ROW_WORDS + LOAD_ROW.key;
        for (let word = 0; word < KEY_WORDS; word++) keys[(to - from) * KEY_WORDS + word] = rows[key + word]!;
      }
      this.#table.findMany(namespace, keys, to - from, ids);
      for (let i = from; i < to; i++) {
        const row = i * LOAD_ROW_WORDS;
        if (ids[i - from]! < 0 || rows[row + LOAD_ROW.sourceBuffer] !== 0) continue;
        const [segment, offsetPages] = [rows[row + LOAD_ROW.segment]!, rows[row + LOAD_ROW.offsetPages]!];
        if (this.#isOf(ids[i - from]!, segment, offsetPages)) holders[i]! |= bit;
      }
      from = to;
    }
  }

  /** Turns a row of the shared file system into one of this disk; false when the block is not here. */
  translate(rows: Uint32Array, row: number, to: Uint32Array, toRow: number): boolean {
    const id = this.#find(rows, row);
    if (id < 0) return false;
    const [page, at] = [this.#table.pageOf(id)!, this.#table.rowAt(id)];
    if (page[at + COLUMN.lengthBytes] !== rows[row + LOAD_ROW.lengthBytes]) return false;
    for (let word = 0; word < LOAD_ROW_WORDS; word++) to[toRow + word] = rows[row + word]!;
    to[toRow + LOAD_ROW.segment] = page[at + COLUMN.segment]!;
    to[toRow + LOAD_ROW.offsetPages] = page[at + COLUMN.offsetPages]!;
    to[toRow + LOAD_ROW.storedBytes] = page[at + COLUMN.lengthBytes]!;
    to[toRow + LOAD_ROW.checksumLo] = page[at + COLUMN.checksumLo]!;
    to[toRow + LOAD_ROW.checksumHi] = page[at + COLUMN.checksumHi]!;
    to[toRow + LOAD_ROW.flags] = 0;
    to[toRow + LOAD_ROW.sourceBuffer] = 0;
    return true;
  }

  /** Gives up the file that is read least; false when none is closed. Its bytes are free once it is unlinked. */
  evict(): boolean {
    const segment = this.segmentsHeld.coldest();
    if (segment === undefined) return false;
    this.segmentsEvicted++;
    this.blocksEvicted += segment.liveBlocks;
    this.#kill(segment);
    return true;
  }

  /** The namespace of these rows is the one that its entries were made for; if not they go. */
  checkNamespace(namespace: number): void {
    const known = this.#namespaceIds.get(namespace);
    const id = this.#directory.namespace(namespace)?.id;
    if (id === undefined || (known !== undefined && sameBytes(known, id))) return;
    if (known !== undefined) {
      for (const segment of this.segmentsHeld.all) {
        if (segment.namespace === namespace && segment.state !== 'dead') this.#drop(segment);
      }
    }
    this.#namespaceIds.set(namespace, id);
  }

  #find(rows: Uint32Array, row: number): number {
    const id = this.#table.find(rows[row + LOAD_ROW.namespace]!, rows, row + LOAD_ROW.key);
    return this.#isOf(id, rows[row + LOAD_ROW.segment]!, rows[row + LOAD_ROW.offsetPages]!) ? id : -1;
  }

  /** Whether an entry is the copy of what lies at this location, which is still one to be read. */
  #isOf(id: number, segment: number, offsetPages: number): boolean {
    if (id < 0 || segment === SEGMENT_NONE) return false;
    const [page, at] = [this.#table.pageOf(id)!, this.#table.rowAt(id)];
    if (page[at + COLUMN.originPages] !== offsetPages) return false;
    const origin = this.#originOf(segment);
    return (
      origin.isThere && page[at + COLUMN.originLo] === origin.lo && page[at + COLUMN.originHi] === origin.hi
    );
  }

  /** Neighbours lie in one segment: the last one that was asked for is remembered as long as no segment changed. */
  #originOf(segment: number): { isThere: boolean; lo: number; hi: number } {
    const origin = this.#origin;
    const { version } = this.#directory;
    if (origin.segment !== segment || origin.version !== version) {
      const record = this.#directory.segment(segment);
      origin.segment = segment;
      origin.version = version;
      origin.isThere = record !== undefined && record.state !== 'dead';
      origin.lo = record === undefined ? 0 : wordAt(record.id, 0);
      origin.hi = record === undefined ? 0 : wordAt(record.id, 4);
    }
    return origin;
  }

  /** Makes the entry of a commit row; false when its very copy is here already, or there is no room for it. */
  #place(rows: Uint32Array, row: number): boolean {
    const namespace = rows[row + COMMIT_ROW.namespace]!;
    const segment = this.segmentsHeld.get(rows[row + COMMIT_ROW.segment]!);
    if (segment === undefined || segment.state === 'dead') return false;
    this.checkNamespace(namespace);
    const origin = row + COMMIT_ROW.parent;
    const old = this.#table.find(namespace, rows, row + COMMIT_ROW.key);
    if (old >= 0) {
      const [page, at] = [this.#table.pageOf(old)!, this.#table.rowAt(old)];
      const isSame =
        page[at + COLUMN.originLo] === rows[origin + ORIGIN.segmentId] &&
        page[at + COLUMN.originHi] === rows[origin + ORIGIN.segmentId + 1] &&
        page[at + COLUMN.originPages] === rows[origin + ORIGIN.offsetPages];
      if (isSame) return false;
      // Copies come in the order of their writing, so what is here is of an earlier block of this key.
      this.#delete(old);
    }
    if (this.#table.size >= this.#entriesMax && !this.evict()) return false;
    const id = this.#table.insert(namespace, rows, row + COMMIT_ROW.key);
    const [page, at] = [this.#table.pageOf(id)!, this.#table.rowAt(id)];
    page[at + COLUMN.segment] = segment.index;
    page[at + COLUMN.offsetPages] = rows[row + COMMIT_ROW.offsetPages]!;
    page[at + COLUMN.lengthBytes] = rows[row + COMMIT_ROW.lengthBytes]!;
    page[at + COLUMN.checksumLo] = rows[row + COMMIT_ROW.checksumLo]!;
    page[at + COLUMN.checksumHi] = rows[row + COMMIT_ROW.checksumHi]!;
    page[at + COLUMN.originLo] = rows[origin + ORIGIN.segmentId]!;
    page[at + COLUMN.originHi] = rows[origin + ORIGIN.segmentId + 1]!;
    page[at + COLUMN.originPages] = rows[origin + ORIGIN.offsetPages]!;
    segment.ids.push(id);
    segment.liveBlocks++;
    segment.liveBytes += rows[row + COMMIT_ROW.lengthBytes]!;
    return true;
  }

  #delete(id: number): void {
    const [page, at] = [this.#table.pageOf(id)!, this.#table.rowAt(id)];
    const segment = this.segmentsHeld.get(page[at + COLUMN.segment]!)!;
    segment.liveBlocks--;
    segment.liveBytes -= page[at + COLUMN.lengthBytes]!;
    page[at + COLUMN.segment] = 0;
    this.#table.delete(id);
    const isClosed = segment.state === 'sealed' || segment.state === 'abandoned';
    if (isClosed && segment.liveBlocks === 0) this.segmentsHeld.move(segment, 'dead', segment.endBytes);
  }

  #drop(segment: NvmeSegment): void {
    for (const id of segment.ids) {
      const page = this.#table.pageOf(id)!;
      // An id may stand for a block of another segment by now.
      if (page[this.#table.rowAt(id) + COLUMN.segment] === segment.index) this.#delete(id);
    }
  }

  #kill(segment: NvmeSegment): void {
    this.#drop(segment);
    if (segment.state !== 'dead') this.segmentsHeld.move(segment, 'dead', segment.endBytes);
    segment.ids = [];
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
