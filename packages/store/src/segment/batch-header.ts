import { BATCH_BLOCKS_MAX, BLOCK_BYTES_MAX, BLOCK_FLAG, invariant, PAGE_BYTES } from '@refill/interface';
import {
  beginHeader,
  endHeader,
  type HeaderIdentity,
  headerLength,
  isZero,
  openHeader,
  pagesUp,
  readU64,
  wordsOf,
  writeU64,
} from './segment-bytes.ts';
import { BATCH_HEADER, ENTRY, ENTRY_BYTES, ENTRY_WORDS, MAGIC_BATCH } from './segment-format.ts';

/** What a batch says of itself and of its blocks. */
export interface BatchHeader extends HeaderIdentity {
  sequence: number;
  offset: number;
  totalBytes: number;
  syncedBytes: number;
  blocks: number;
  /** `ENTRY_WORDS` a block. Decoded ones are a view on the input. */
  entries: Uint32Array;
}

/** Bytes of the header of a batch of this many blocks, its CRC included. */
export function batchHeaderBytes(blocks: number): number {
  return pagesUp(BATCH_HEADER.entries + blocks * ENTRY_BYTES + 8);
}

/** Length of the batch header that seems to start here, 0 when none does: how much to read before decoding. */
export function batchHeaderLength(page: Uint8Array): number {
  const length = headerLength(page, MAGIC_BATCH);
  return length <= batchHeaderBytes(BATCH_BLOCKS_MAX) ? length : 0;
}

/** Writes the header into `bytes`, exactly `batchHeaderBytes(header.blocks)` long. */
export function encodeBatchHeader(bytes: Uint8Array, header: BatchHeader): void {
  invariant(header.blocks > 0 && header.blocks <= BATCH_BLOCKS_MAX, 'a batch has 1..256 blocks');
  invariant(bytes.length === batchHeaderBytes(header.blocks), 'a batch header fills its pages');
  invariant(header.syncedBytes <= header.offset, 'nothing is synced behind the batch being written');
  invariant(
    entriesEnd(header.entries, header.blocks, header.offset + bytes.length) ===
      header.offset + header.totalBytes,
    'entries describe payloads that fill the batch one after the other',
  );
  const view = beginHeader(bytes, MAGIC_BATCH, header);
  writeU64(view, BATCH_HEADER.sequence, header.sequence);
  writeU64(view, BATCH_HEADER.totalBytes, header.totalBytes);
  writeU64(view, BATCH_HEADER.syncedBytes, header.syncedBytes);
  writeU64(view, BATCH_HEADER.offset, header.offset);
  view.setUint32(BATCH_HEADER.blocks, header.blocks, true);
  wordsOf(bytes, BATCH_HEADER.entries, header.blocks * ENTRY_WORDS).set(
    header.entries.subarray(0, header.blocks * ENTRY_WORDS),
  );
  endHeader(bytes);
}

/** The header, or `undefined` when it is damaged or none. Throws `ERR_VERSION` for one of another version. */
export function decodeBatchHeader(input: Uint8Array): BatchHeader | undefined {
  const length = batchHeaderLength(input);
  if (length === 0) return undefined;
  const header = openHeader(input, MAGIC_BATCH, 'a batch');
  if (header === undefined) return undefined;
  const { view, bytes } = header;
  const sequence = readU64(view, BATCH_HEADER.sequence);
  const totalBytes = readU64(view, BATCH_HEADER.totalBytes);
  const syncedBytes = readU64(view, BATCH_HEADER.syncedBytes);
  const offset = readU64(view, BATCH_HEADER.offset);
  const blocks = view.getUint32(BATCH_HEADER.blocks, true);
  if (blocks < 1 || blocks > BATCH_BLOCKS_MAX || length !== batchHeaderBytes(blocks)) return undefined;
  if (sequence < 1 || offset < PAGE_BYTES || offset % PAGE_BYTES !== 0) return undefined;
  if (syncedBytes < 0 || syncedBytes > offset) return undefined;
  if (!isZero(bytes, BATCH_HEADER.reserved, BATCH_HEADER.entries)) return undefined;
  if (!isZero(bytes, BATCH_HEADER.entries + blocks * ENTRY_BYTES, length - 8)) return undefined;
  const entries = wordsOf(bytes, BATCH_HEADER.entries, blocks * ENTRY_WORDS);
  if (entriesEnd(entries, blocks, offset + length) !== offset + totalBytes) return undefined;
  return {
    segmentId: header.segmentId,
    namespaceId: header.namespaceId,
    epoch: header.epoch,
    sequence,
    offset,
    totalBytes,
    syncedBytes,
    blocks,
    entries,
  };
}

const FLAGS_KNOWN = BLOCK_FLAG.compressed | BLOCK_FLAG.tombstone;

/** Where the payloads end that these entries describe from `startBytes` on, or -1 when an entry is not valid. */
export function entriesEnd(entries: Uint32Array, blocks: number, startBytes: number): number {
  let end = startBytes;
  for (let i = 0; i < blocks; i++) {
    const at = i * ENTRY_WORDS;
    const flags = entries[at + ENTRY.flags]!;
    const lengthBytes = entries[at + ENTRY.lengthBytes]!;
    const storedBytes = entries[at + ENTRY.storedBytes]!;
    const offsetPages = entries[at + ENTRY.offsetPages]!;
    const reserved =
      entries[at + ENTRY.reserved0]! | entries[at + ENTRY.reserved1]! | entries[at + ENTRY.reserved1 + 1]!;
    if ((flags & ~FLAGS_KNOWN) !== 0 || reserved !== 0) return -1;
    if ((flags & BLOCK_FLAG.tombstone) !== 0) {
      if (lengthBytes !== 0 || storedBytes !== 0 || offsetPages !== 0 || flags !== BLOCK_FLAG.tombstone)
        return -1;
      continue;
    }
    if (lengthBytes === 0 || lengthBytes > BLOCK_BYTES_MAX || storedBytes === 0) return -1;
    const compressed = (flags & BLOCK_FLAG.compressed) !== 0;
    if (compressed ? storedBytes >= lengthBytes : storedBytes !== lengthBytes) return -1;
    if (offsetPages * PAGE_BYTES !== end) return -1;
    end += pagesUp(storedBytes);
  }
  return end;
}
