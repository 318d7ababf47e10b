import { PAGE_BYTES, RefillError } from '@refill/interface';
import { crc64 } from './crc64.ts';
import { COMMON, SEGMENT_VERSION } from './segment-format.ts';

/** Rounds up to whole pages. */
export function pagesUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/** A 64-bit integer, or -1 when it does not fit 53 bits: no field of the format is that large. */
export function readU64(view: DataView, at: number): number {
  const hi = view.getUint32(at + 4, true);
  return hi >= 2 ** 21 ? -1 : hi * 2 ** 32 + view.getUint32(at, true);
}

export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The bytes as words; copies only what is not aligned, which memory from the arena always is. */
export function wordsOf(bytes: Uint8Array, from: number, words: number): Uint32Array {
  const at = bytes.byteOffset + from;
  return at % 4 === 0
    ? new Uint32Array(bytes.buffer, at, words)
    : new Uint32Array(bytes.slice(from, from + words * 4).buffer);
}

export function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false;
  return true;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function hexOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** What every header begins with. */
export interface HeaderIdentity {
  segmentId: Uint8Array;
  namespaceId: Uint8Array;
  epoch: number;
}

/** Zeroes the header and writes its common beginning. */
export function beginHeader(
  bytes: Uint8Array,
  magic: readonly [number, number],
  identity: HeaderIdentity,
): DataView {
  bytes.fill(0);
  const view = viewOf(bytes);
  view.setUint32(COMMON.magic, magic[0], true);
  view.setUint32(COMMON.magic + 4, magic[1], true);
  view.setUint32(COMMON.version, SEGMENT_VERSION, true);
  view.setUint32(COMMON.headerBytes, bytes.length, true);
  bytes.set(identity.segmentId, COMMON.segmentId);
  bytes.set(identity.namespaceId, COMMON.namespaceId);
  writeU64(view, COMMON.epoch, identity.epoch);
  return view;
}

/** Writes the CRC into the last eight bytes. */
export function endHeader(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  const crc = crc64(bytes, 0, bytes.length - 8);
  view.setUint32(bytes.length - 8, crc.lo, true);
  view.setUint32(bytes.length - 4, crc.hi, true);
}

/**
 * Length of the header that starts here, as it says itself, or 0 when no header of this kind does. Nothing but the
 * magic number is proven yet.
 */
export function headerLength(bytes: Uint8Array, magic: readonly [number, number]): number {
  if (bytes.length < PAGE_BYTES) return 0;
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== magic[0] || view.getUint32(4, true) !== magic[1]) return 0;
  const length = view.getUint32(COMMON.headerBytes, true);
  return length % PAGE_BYTES === 0 ? length : 0;
}

/**
 * The common beginning of a whole header, or `undefined` when it is damaged.
 * Throws `ERR_VERSION` for an undamaged header of another version.
 */
export function openHeader(
  bytes: Uint8Array,
  magic: readonly [number, number],
  what: string,
): (HeaderIdentity & { view: DataView; bytes: Uint8Array }) | undefined {
  const length = headerLength(bytes, magic);
  if (length === 0 || length > bytes.length) return undefined;
  const view = viewOf(bytes);
  const crc = crc64(bytes, 0, length - 8);
  if (view.getUint32(length - 8, true) !== crc.lo || view.getUint32(length - 4, true) !== crc.hi) {
    return undefined;
  }
  const version = view.getUint32(COMMON.version, true);
  if (version !== SEGMENT_VERSION) {
    throw new RefillError(
      'ERR_VERSION',
      `${what} has version ${version}, this Refill knows ${SEGMENT_VERSION}`,
      {
        fix: 'Run the version of Refill that wrote it, or a newer one',
      },
    );
  }
  const epoch = readU64(view, COMMON.epoch);
  if (epoch < 0) return undefined;
  return {
    view,
    bytes: bytes.subarray(0, length),
    segmentId: bytes.slice(COMMON.segmentId, COMMON.segmentId + 16),
    namespaceId: bytes.slice(COMMON.namespaceId, COMMON.namespaceId + 16),
    epoch,
  };
}
