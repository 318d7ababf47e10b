import { IO_BATCH_OPS_MAX, KEY_BYTES } from './limits.ts';

/**
 * A batch of I/O operations in one shared typed array: what crosses to a worker and into native code in one hop.
 * The layout is mirrored by `packages/native-io/native/batch.h`; 32-bit little-endian words, 64-bit values as two
 * words, low word first. Results are written in place.
 *
 * ```
 * word  0      opcode (IO_OP)
 * word  1      flags (IO_FLAG)
 * word  2      file: id given by BlockIO.open
 * word  3      buffer: 0 is the arena, n a registered region
 * word  4..5   offset in the file, bytes; a multiple of 4,096 for O_DIRECT files
 * word  6..7   offset in the buffer, bytes
 * word  8      length, bytes: of the payload (the I/O is rounded up to 4,096 on O_DIRECT files)
 * word  9      result: bytes moved, or minus errno (IO_PENDING until done)
 * word 10..11  checksum: expected (VERIFY) on the way in, computed (CHECKSUM or VERIFY) on the way out
 * word 12..19  key, 32 bytes: bound into the checksum
 * word 20..21  COPY: offset in the source buffer, bytes
 * word 22      COPY: the source buffer
 * word 23      microseconds from submission to completion (out)
 * ```
 */
export const IO_WORDS = 24;

export const IO_OP = {
  /** Reads `length` bytes at the file offset into the buffer. Short reads are retried once, then `-EIO`. */
  read: 1,
  /** Writes `length` bytes from the buffer; with O_DIRECT the tail up to 4,096 is zeroed in the buffer first. */
  write: 2,
  /** `fdatasync` of `file`; starts after every earlier operation of the batch is done, and only if all succeeded. */
  sync: 3,
  /** Copies between mapped buffers; verifies on the way if asked. */
  copy: 4,
  /** Computes the checksum over the buffer without I/O. */
  checksum: 5,
} as const;

export const IO_FLAG = {
  /** Compute the checksum of the payload bound to its identity; store it in words 10..11. */
  checksum: 1,
  /** As `checksum`, and fail with `-EBADMSG` unless it equals the expected one. */
  verify: 2,
  /** The file range starts where the previous operation's rounded range ends: both may become one vectored I/O. */
  adjacent: 4,
  /** No identity is bound: checksum of the bytes alone (headers, footers). */
  unbound: 8,
} as const;

/** Value of the result word before completion. No errno comes near it. */
export const IO_PENDING: number = -0x7fffffff;

/** A reusable batch. Not to be touched by JavaScript between submission and completion. */
export interface IoBatch {
  /** Backed by a SharedArrayBuffer of `capacity * IO_WORDS` words. */
  readonly words: Int32Array<SharedArrayBuffer>;
  /** The same memory as unsigned words. */
  readonly uwords: Uint32Array<SharedArrayBuffer>;
  readonly capacity: number;
  /** Operations filled in. */
  count: number;
}

/** Allocates a batch for `capacity` operations. Keep it and use it again. */
export function createIoBatch(capacity: number): IoBatch {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > IO_BATCH_OPS_MAX) {
    throw new RangeError(`capacity must be 1..${IO_BATCH_OPS_MAX} operations, got ${capacity}`);
  }
  const memory = new SharedArrayBuffer(capacity * IO_WORDS * 4);
  return { words: new Int32Array(memory), uwords: new Uint32Array(memory), capacity, count: 0 };
}

/** Appends an operation and returns its index. `checksumLo/Hi` is the expected checksum for `verify`. */
export function pushIo(
  batch: IoBatch,
  opcode: number,
  flags: number,
  file: number,
  fileOffset: number,
  buffer: number,
  bufferOffset: number,
  length: number,
  checksumLo = 0,
  checksumHi = 0,
): number {
  if (batch.count === batch.capacity) throw new RangeError(`batch is full at ${batch.capacity} operations`);
  const index = batch.count++;
  const at = index * IO_WORDS;
  const { uwords } = batch;
  uwords.fill(0, at, at + IO_WORDS);
  uwords[at] = opcode;
  uwords[at + 1] = flags;
  uwords[at + 2] = file;
  uwords[at + 3] = buffer;
  uwords[at + 4] = fileOffset >>> 0;
  uwords[at + 5] = Math.floor(fileOffset / 2 ** 32);
  uwords[at + 6] = bufferOffset >>> 0;
  uwords[at + 7] = Math.floor(bufferOffset / 2 ** 32);
  uwords[at + 8] = length;
  batch.words[at + 9] = IO_PENDING;
  uwords[at + 10] = checksumLo;
  uwords[at + 11] = checksumHi;
  return index;
}

/** Binds operation `index` to a key taken from `words` at `wordOffset` (eight words). */
export function setIoKey(batch: IoBatch, index: number, words: Uint32Array, wordOffset: number): void {
  const at = index * IO_WORDS + 12;
  for (let i = 0; i < KEY_BYTES / 4; i++) batch.uwords[at + i] = words[wordOffset + i]!;
}

/** Completes a `copy` operation with its source. */
export function setIoCopySource(batch: IoBatch, index: number, buffer: number, offset: number): void {
  const at = index * IO_WORDS;
  batch.uwords[at + 20] = offset >>> 0;
  batch.uwords[at + 21] = Math.floor(offset / 2 ** 32);
  batch.uwords[at + 22] = buffer;
}
