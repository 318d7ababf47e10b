/**
 * Segment format, version 1: constants and comments, used by encoders and decoders. `docs/internals/segment-format.md`
 * has the grammar, a worked example and what a crash leaves behind.
 *
 *   segment = header page, batch*, hole, [footer, hole, trailer page]
 *   batch   = header page(s), payload*            every part starts on a page of 4,096 bytes
 *
 * Integers are little-endian; 64-bit values stay below 2^53. Reserved bytes are zero and checked.
 *
 * Every header, of this and any later version, begins with `magic 8, version 4, length 4` and ends with a CRC-64 of
 * everything before it, so that a damaged header is told from one of a newer version.
 */
export const SEGMENT_VERSION = 1;

/** "RFILLSEG", "RFILLBAT", "RFILLEND" as two words each. */
export const MAGIC_SEGMENT: readonly [number, number] = [0x4c494652, 0x4745534c];
export const MAGIC_BATCH: readonly [number, number] = [0x4c494652, 0x5441424c];
export const MAGIC_TRAILER: readonly [number, number] = [0x4c494652, 0x444e454c];

/** What every header begins with, byte offsets. */
export const COMMON = {
  magic: 0, //         8
  version: 8, //       4
  headerBytes: 12, //  4  this header with its CRC, a multiple of 4,096
  segmentId: 16, //   16
  namespaceId: 32, // 16
  epoch: 48, //        8  of the writer                         = 56
} as const;

/** Header page of a segment, 4,096 bytes. */
export const SEGMENT_HEADER = {
  createdMs: 56, //           8  wall clock, for people only
  sizeBytes: 64, //           8  of the file
  nodeBytes: 72, //           2  length of the node's name
  fingerprintBytes: 74, //    2  length of the fingerprint
  policy: 76, //              4  bit 0: compress
  node: 80, //              128  UTF-8
  fingerprint: 208, //     3072  canonical JSON                  = 3280
  reserved: 3280, //        808
  crc: 4088, //               8                                  = 4096
} as const;
export const NODE_NAME_BYTES_MAX = 128;
export const POLICY_COMPRESS = 1;

/** Fixed part of a batch header. */
export const BATCH_HEADER = {
  sequence: 56, //     8  strictly increasing over all segments of one writer incarnation
  totalBytes: 64, //   8  header and payloads
  syncedBytes: 72, //  8  end offset up to which fdatasync was known to have succeeded when this was written
  offset: 80, //       8  of this batch in the segment
  blocks: 88, //       4
  reserved: 92, //    36
  entries: 128, //    112 a block, then zeros, then the CRC in the last 8 bytes of the header
} as const;

/** One block in a batch header, 28 words. */
export const ENTRY_WORDS = 28;
export const ENTRY_BYTES: number = ENTRY_WORDS * 4;
export const ENTRY = {
  key: 0, //          8
  parent: 8, //       8
  target: 8, //          of a tombstone instead, TARGET
  family: 16, //      1
  shard: 17, //       1
  offsetPages: 18, // 1  in the segment
  lengthBytes: 19, // 1
  storedBytes: 20, // 1
  tokens: 21, //      1
  flags: 22, //       1  BLOCK_FLAG
  reserved0: 23, //   1
  checksumLo: 24, //  1  bound to the identity, see checksum.ts of the contract
  checksumHi: 25, //  1
  reserved1: 26, //   2                                           = 28
} as const;

/** The location that a tombstone buries, in the words of the parent. Zeros in those of versions that named none. */
export const TARGET = {
  segmentId: 0, //    4
  offsetPages: 4, //  1
  form: 5, //         1  1: a location; 0: none is named
  reserved: 6, //     2                                           = 8
} as const;

/** Footer index, before compression: for every batch a head of 8 words, then its entries. */
export const FOOTER_HEAD_WORDS = 8;
export const FOOTER_HEAD = {
  sequenceLo: 0,
  sequenceHi: 1,
  offsetLo: 2,
  offsetHi: 3,
  totalLo: 4,
  totalHi: 5,
  blocks: 6,
  reserved: 7,
} as const;

/** A segment takes no more blocks than this, so that its footer is below 20 MiB. */
export const SEGMENT_BLOCKS_MAX = 131_072;

/** Trailer: the last page of a sealed file, 4,096 bytes. */
export const TRAILER = {
  firstSequence: 56, //     8
  lastSequence: 64, //      8
  endBytes: 72, //          8  end of the last batch
  footerOffset: 80, //      8
  footerBytes: 88, //       8  as stored
  footerRawBytes: 96, //    8  before compression
  footerCrc: 104, //        8  of the footer as stored
  blocks: 112, //           4
  batches: 116, //          4
  tombstones: 120, //       4
  flags: 124, //            4  bit 0: the footer is compressed by LZ4
  reserved: 128, //      3960
  crc: 4088, //             8                                     = 4096
} as const;
export const TRAILER_LZ4 = 1;
