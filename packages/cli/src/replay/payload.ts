import { type Key, PAGE_BYTES } from '@refill/interface';
import { SeededRandom } from './random.ts';

/**
 * Payloads that any reader can check byte by byte, knowing nothing but the key. Page `n` of a block is a stamp of 36
 * bytes, the key and `n`, followed by random bytes from a pool shared by all, starting where key and `n` say. A page
 * of another block, another place in the block, an older life of the file or with one bit changed differs. Filling
 * and checking are `memcpy` and `memcmp`; computing random numbers in JavaScript would be the bottleneck.
 */
const STAMP_BYTES = 36;
const POOL_BYTES = 1024 * 1024;

const pool = makePool();

function makePool(): Buffer {
  const words = new Uint32Array((POOL_BYTES + PAGE_BYTES) / 4);
  const random = new SeededRandom(0x5ef111);
  for (let i = 0; i < words.length; i++) words[i] = random.word();
  return Buffer.from(words.buffer);
}

/** Where the random bytes of a page start. */
function poolOffset(keyWord: number, page: number): number {
  return (Math.imul(keyWord ^ Math.imul(page + 1, 0x9e3779b1), 0x85ebca6b) >>> 0) % POOL_BYTES;
}

const stamp = Buffer.alloc(STAMP_BYTES);

/** Fills `bytes` with the payload of `key`. Its length may be anything. */
export function fillPayload(key: Key, bytes: Uint8Array): void {
  const target = asBuffer(bytes);
  const keyWord = startStamp(key);
  for (let page = 0, at = 0; at < bytes.length; page++, at += PAGE_BYTES) {
    stamp.writeUInt32LE(page, 32);
    stamp.copy(target, at);
    const start = poolOffset(keyWord, page);
    pool.copy(target, at + STAMP_BYTES, start, start + PAGE_BYTES - STAMP_BYTES);
  }
}

/** Offset of the first page of `bytes` that is not as `fillPayload` made it, or -1 when every byte is right. */
export function findPayloadMismatch(key: Key, bytes: Uint8Array): number {
  const source = asBuffer(bytes);
  const keyWord = startStamp(key);
  for (let page = 0, at = 0; at < bytes.length; page++, at += PAGE_BYTES) {
    const end = Math.min(at + PAGE_BYTES, bytes.length);
    const stampEnd = Math.min(at + STAMP_BYTES, end);
    stamp.writeUInt32LE(page, 32);
    if (source.compare(stamp, 0, stampEnd - at, at, stampEnd) !== 0) return at;
    const start = poolOffset(keyWord, page);
    if (end > stampEnd && source.compare(pool, start, start + end - stampEnd, stampEnd, end) !== 0) return at;
  }
  return -1;
}

function startStamp(key: Key): number {
  stamp.set(key, 0);
  return stamp.readUInt32LE(0);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
