import { BATCH_BLOCKS_MAX, BLOCK_FLAG, invariant, PAGE_BYTES } from '@refill/interface';
import { compress, uncompress } from 'lz4-napi';
import { batchHeaderBytes, entriesEnd } from './batch-header.ts';
import { crc64 } from './crc64.ts';
import {
  beginHeader,
  endHeader,
  type HeaderIdentity,
  isZero,
  openHeader,
  pagesUp,
  readU64,
  viewOf,
  wordsOf,
  writeU64,
} from './segment-bytes.ts';
import {
  ENTRY,
  ENTRY_WORDS,
  FOOTER_HEAD,
  FOOTER_HEAD_WORDS,
  MAGIC_TRAILER,
  SEGMENT_BLOCKS_MAX,
  TRAILER,
  TRAILER_LZ4,
} from './segment-format.ts';

/** Most that LZ4 can shrink: a longer raw length than this times the stored one is a lie (LZ4 block format). */
const LZ4_RATIO_MAX = 255;

export interface Trailer extends HeaderIdentity {
  firstSequence: number;
  lastSequence: number;
  endBytes: number;
  footerOffset: number;
  footerBytes: number;
  footerRawBytes: number;
  footerCrcLo: number;
  footerCrcHi: number;
  blocks: number;
  batches: number;
  tombstones: number;
  compressed: boolean;
}

/** One batch as the footer tells it; `entries` is a view on the footer. */
export interface FooterBatch {
  sequence: number;
  offset: number;
  totalBytes: number;
  blocks: number;
  entries: Uint32Array;
}

/** Collects the index of a segment while it is written: about 112 bytes a block, given up when it is sealed. */
export class FooterIndex {
  readonly #parts: Uint32Array[] = [];
  blocks = 0;
  batches = 0;
  tombstones = 0;
  firstSequence = 0;
  lastSequence = 0;
  endBytes = 0;

  add(sequence: number, offset: number, totalBytes: number, blocks: number, entries: Uint32Array): void {
    invariant(sequence > this.lastSequence, 'sequences of a segment increase');
    invariant(offset >= this.endBytes, 'batches of a segment do not overlap');
    const part = new Uint32Array(FOOTER_HEAD_WORDS + blocks * ENTRY_WORDS);
    part[FOOTER_HEAD.sequenceLo] = sequence >>> 0;
    part[FOOTER_HEAD.sequenceHi] = Math.floor(sequence / 2 ** 32);
    part[FOOTER_HEAD.offsetLo] = offset >>> 0;
    part[FOOTER_HEAD.offsetHi] = Math.floor(offset / 2 ** 32);
    part[FOOTER_HEAD.totalLo] = totalBytes >>> 0;
    part[FOOTER_HEAD.totalHi] = Math.floor(totalBytes / 2 ** 32);
    part[FOOTER_HEAD.blocks] = blocks;
    part.set(entries.subarray(0, blocks * ENTRY_WORDS), FOOTER_HEAD_WORDS);
    this.#parts.push(part);
    for (let i = 0; i < blocks; i++) {
      if ((entries[i * ENTRY_WORDS + ENTRY.flags]! & BLOCK_FLAG.tombstone) !== 0) this.tombstones++;
    }
    if (this.firstSequence === 0) this.firstSequence = sequence;
    this.lastSequence = sequence;
    this.endBytes = offset + totalBytes;
    this.blocks += blocks;
    this.batches++;
  }

  /** Most that footer and trailer can take with `blocks` more blocks in as many batches: kept free at the end. */
  reserveBytes(blocks: number): number {
    const words = (this.batches + blocks) * FOOTER_HEAD_WORDS + (this.blocks + blocks) * ENTRY_WORDS;
    return pagesUp(words * 4) + PAGE_BYTES;
  }

  /** The footer as it is stored, and the trailer that points to it for a file of `sizeBytes`. */
  async encode(
    identity: HeaderIdentity,
    sizeBytes: number,
  ): Promise<{ footer: Uint8Array; trailer: Uint8Array }> {
    const raw = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.byteLength, 0));
    let at = 0;
    for (const part of this.#parts) {
      raw.set(new Uint8Array(part.buffer), at);
      at += part.byteLength;
    }
    const packed = await compress(raw);
    const footer = packed.length < raw.length ? packed : raw;
    const trailer = encodeTrailer({
      ...identity,
      firstSequence: this.firstSequence,
      lastSequence: this.lastSequence,
      endBytes: this.endBytes,
      footerOffset: this.endBytes,
      footerBytes: footer.length,
      footerRawBytes: raw.length,
      ...footerCrc(footer),
      blocks: this.blocks,
      batches: this.batches,
      tombstones: this.tombstones,
      compressed: footer === packed,
    });
    invariant(this.endBytes + pagesUp(footer.length) + PAGE_BYTES <= sizeBytes, 'a footer fits its segment');
    return { footer, trailer };
  }
}

function footerCrc(footer: Uint8Array): { footerCrcLo: number; footerCrcHi: number } {
  const crc = crc64(footer);
  return { footerCrcLo: crc.lo, footerCrcHi: crc.hi };
}

/** A trailer page. */
export function encodeTrailer(trailer: Trailer): Uint8Array {
  const page = new Uint8Array(PAGE_BYTES);
  const view = beginHeader(page, MAGIC_TRAILER, trailer);
  writeU64(view, TRAILER.firstSequence, trailer.firstSequence);
  writeU64(view, TRAILER.lastSequence, trailer.lastSequence);
  writeU64(view, TRAILER.endBytes, trailer.endBytes);
  writeU64(view, TRAILER.footerOffset, trailer.footerOffset);
  writeU64(view, TRAILER.footerBytes, trailer.footerBytes);
  writeU64(view, TRAILER.footerRawBytes, trailer.footerRawBytes);
  view.setUint32(TRAILER.footerCrc, trailer.footerCrcLo, true);
  view.setUint32(TRAILER.footerCrc + 4, trailer.footerCrcHi, true);
  view.setUint32(TRAILER.blocks, trailer.blocks, true);
  view.setUint32(TRAILER.batches, trailer.batches, true);
  view.setUint32(TRAILER.tombstones, trailer.tombstones, true);
  view.setUint32(TRAILER.flags, trailer.compressed ? TRAILER_LZ4 : 0, true);
  endHeader(page);
  return page;
}

/** The trailer in the last page of a file of `sizeBytes`, or `undefined`. Throws `ERR_VERSION`. */
export function decodeTrailer(page: Uint8Array, sizeBytes: number): Trailer | undefined {
  const header = openHeader(page, MAGIC_TRAILER, 'a segment trailer');
  if (header === undefined || header.bytes.length !== PAGE_BYTES) return undefined;
  const { view } = header;
  const flags = view.getUint32(TRAILER.flags, true);
  const trailer: Trailer = {
    segmentId: header.segmentId,
    namespaceId: header.namespaceId,
    epoch: header.epoch,
    firstSequence: readU64(view, TRAILER.firstSequence),
    lastSequence: readU64(view, TRAILER.lastSequence),
    endBytes: readU64(view, TRAILER.endBytes),
    footerOffset: readU64(view, TRAILER.footerOffset),
    footerBytes: readU64(view, TRAILER.footerBytes),
    footerRawBytes: readU64(view, TRAILER.footerRawBytes),
    footerCrcLo: view.getUint32(TRAILER.footerCrc, true),
    footerCrcHi: view.getUint32(TRAILER.footerCrc + 4, true),
    blocks: view.getUint32(TRAILER.blocks, true),
    batches: view.getUint32(TRAILER.batches, true),
    tombstones: view.getUint32(TRAILER.tombstones, true),
    compressed: flags === TRAILER_LZ4,
  };
  const { blocks, batches, footerBytes, footerRawBytes } = trailer;
  const plausible =
    (flags & ~TRAILER_LZ4) === 0 &&
    isZero(header.bytes, TRAILER.reserved, TRAILER.crc) &&
    trailer.firstSequence > 0 &&
    trailer.lastSequence >= trailer.firstSequence &&
    blocks > 0 &&
    blocks <= SEGMENT_BLOCKS_MAX &&
    batches > 0 &&
    batches <= blocks &&
    trailer.tombstones <= blocks &&
    trailer.endBytes >= 2 * PAGE_BYTES &&
    trailer.endBytes % PAGE_BYTES === 0 &&
    trailer.footerOffset === trailer.endBytes &&
    footerBytes > 0 &&
    footerRawBytes === 4 * (batches * FOOTER_HEAD_WORDS + blocks * ENTRY_WORDS) &&
    (trailer.compressed
      ? footerBytes < footerRawBytes && footerRawBytes <= footerBytes * LZ4_RATIO_MAX
      : footerBytes === footerRawBytes) &&
    trailer.footerOffset + pagesUp(footerBytes) + PAGE_BYTES <= sizeBytes;
  return plausible ? trailer : undefined;
}

/** The batches of a footer that was read whole, or `undefined` when it is damaged. */
export async function decodeFooter(trailer: Trailer, stored: Uint8Array): Promise<FooterBatch[] | undefined> {
  if (stored.length !== trailer.footerBytes) return undefined;
  const crc = footerCrc(stored);
  if (crc.footerCrcLo !== trailer.footerCrcLo || crc.footerCrcHi !== trailer.footerCrcHi) return undefined;
  let raw = stored;
  if (trailer.compressed) {
    // lz4-napi allocates what the first four bytes ask for.
    if (stored.length < 4 || viewOf(stored).getUint32(0, true) !== trailer.footerRawBytes) return undefined;
    try {
      raw = await uncompress(stored);
    } catch {
      return undefined;
    }
  }
  return raw.length === trailer.footerRawBytes ? footerBatches(trailer, raw) : undefined;
}

function footerBatches(trailer: Trailer, raw: Uint8Array): FooterBatch[] | undefined {
  const words = wordsOf(raw, 0, raw.length / 4);
  const batches: FooterBatch[] = [];
  let at = 0;
  let sequenceBefore = trailer.firstSequence - 1;
  let endBefore = PAGE_BYTES;
  let blocksSum = 0;
  for (let i = 0; i < trailer.batches; i++) {
    if (at + FOOTER_HEAD_WORDS > words.length) return undefined;
    const sequence = words[at + FOOTER_HEAD.sequenceHi]! * 2 ** 32 + words[at + FOOTER_HEAD.sequenceLo]!;
    const offset = words[at + FOOTER_HEAD.offsetHi]! * 2 ** 32 + words[at + FOOTER_HEAD.offsetLo]!;
    const totalBytes = words[at + FOOTER_HEAD.totalHi]! * 2 ** 32 + words[at + FOOTER_HEAD.totalLo]!;
    const blocks = words[at + FOOTER_HEAD.blocks]!;
    const reserved = words[at + FOOTER_HEAD.reserved]!;
    at += FOOTER_HEAD_WORDS;
    if (reserved !== 0 || sequence <= sequenceBefore || offset !== endBefore) return undefined;
    if (blocks < 1 || blocks > BATCH_BLOCKS_MAX || at + blocks * ENTRY_WORDS > words.length) return undefined;
    const entries = words.subarray(at, at + blocks * ENTRY_WORDS);
    at += blocks * ENTRY_WORDS;
    if (entriesEnd(entries, blocks, offset + batchHeaderBytes(blocks)) !== offset + totalBytes)
      return undefined;
    batches.push({ sequence, offset, totalBytes, blocks, entries });
    sequenceBefore = sequence;
    endBefore = offset + totalBytes;
    blocksSum += blocks;
  }
  const whole =
    blocksSum === trailer.blocks &&
    sequenceBefore === trailer.lastSequence &&
    endBefore === trailer.endBytes &&
    at === words.length &&
    batches[0]!.sequence === trailer.firstSequence;
  return whole ? batches : undefined;
}
