/**
 * CRC-64/NVME for headers, in 32-bit halves (BigInt is some thirty times slower): the same function as the native
 * one, see `checksum.ts` of the contract. Eight bytes a step over eight tables ("slicing-by-8", Kounavis and Berry,
 * ISCC 2005). Payloads never pass through here; they are checked in the native path.
 */
const POLYNOMIAL_LO = 0xac4bc9b5;
const POLYNOMIAL_HI = 0x9a6c9329;

const LO: Uint32Array = new Uint32Array(8 * 256);
const HI: Uint32Array = new Uint32Array(8 * 256);

for (let byte = 0; byte < 256; byte++) {
  let lo = byte;
  let hi = 0;
  for (let bit = 0; bit < 8; bit++) {
    const odd = lo & 1;
    lo = (lo >>> 1) | (hi << 31);
    hi >>>= 1;
    if (odd) {
      lo ^= POLYNOMIAL_LO;
      hi ^= POLYNOMIAL_HI;
    }
  }
  LO[byte] = lo;
  HI[byte] = hi;
}
for (let at = 256; at < 8 * 256; at++) {
  const lo = LO[at - 256]!;
  const hi = HI[at - 256]!;
  LO[at] = ((lo >>> 8) | (hi << 24)) ^ LO[lo & 255]!;
  HI[at] = (hi >>> 8) ^ HI[lo & 255]!;
}

/** Low and high word of a checksum. */
export interface Crc64 {
  lo: number;
  hi: number;
}

/** Checksum of `bytes[from, to)`, continued from `before`, the checksum of the bytes in front of them. */
export function crc64(
  bytes: Uint8Array,
  from = 0,
  to: number = bytes.length,
  before: Crc64 = { lo: 0, hi: 0 },
): Crc64 {
  let lo = ~before.lo;
  let hi = ~before.hi;
  let at = from;
  for (; at + 8 <= to; at += 8) {
    const a = lo ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    const b = hi ^ (bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24));
    const a0 = 1792 + (a & 255);
    const a1 = 1536 + ((a >>> 8) & 255);
    const a2 = 1280 + ((a >>> 16) & 255);
    const a3 = 1024 + (a >>> 24);
    const b0 = 768 + (b & 255);
    const b1 = 512 + ((b >>> 8) & 255);
    const b2 = 256 + ((b >>> 16) & 255);
    const b3 = b >>> 24;
    lo = LO[a0]! ^ LO[a1]! ^ LO[a2]! ^ LO[a3]! ^ LO[b0]! ^ LO[b1]! ^ LO[b2]! ^ LO[b3]!;
    hi = HI[a0]! ^ HI[a1]! ^ HI[a2]! ^ HI[a3]! ^ HI[b0]! ^ HI[b1]! ^ HI[b2]! ^ HI[b3]!;
  }
  for (; at < to; at++) {
    const index = (lo ^ bytes[at]!) & 255;
    lo = ((lo >>> 8) | (hi << 24)) ^ LO[index]!;
    hi = (hi >>> 8) ^ HI[index]!;
  }
  return { lo: ~lo >>> 0, hi: ~hi >>> 0 };
}
