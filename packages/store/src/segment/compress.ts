import { compress, uncompress } from 'lz4-napi';

/**
 * Compression of payloads of 16-bit floats: plain LZ4 gains nothing on KV (ratio 0.996), because each exponent byte
 * is followed by a random mantissa. With the exponents apart they shrink and the rest is kept as it is (ratio 1.13
 * to 1.19 on bf16).
 *
 * ```
 * 0  4  length before compression, bytes
 * 4  4  length of the exponent plane as stored, bytes
 * 8     exponent plane, LZ4 (with its own length in front), then sign and mantissa plane, raw
 * ```
 */
const HEAD_BYTES = 8;

/** Below this gain a block is stored as it is: reading it back would cost more than it saves. */
const GAIN_MIN = 0.05;

/** How the two bytes of an element are split; `undefined` for what does not gain. */
export type Split = 'bfloat16' | 'float16' | undefined;

/** By the dtype of the fingerprint. fp8 does not gain (1.15 at best, on a whole byte of exponent and mantissa). */
export function splitOf(dtype: string): Split {
  if (dtype === 'bfloat16' || dtype === 'bf16') return 'bfloat16';
  if (dtype === 'float16' || dtype === 'fp16' || dtype === 'half') return 'float16';
  return undefined;
}

/** The stored form, or `undefined` when it does not pay. `payload` is only read. */
export async function compressPayload(payload: Uint8Array, split: Split): Promise<Uint8Array | undefined> {
  if (split === undefined || payload.length < 2 || payload.length % 2 !== 0) return undefined;
  const half = payload.length / 2;
  const exponents = new Uint8Array(half);
  const rest = new Uint8Array(half);
  if (split === 'bfloat16') {
    // Bits, high to low: sign, 8 exponent, 7 mantissa.
    for (let i = 0, at = 0; i < half; i++, at += 2) {
      const lo = payload[at]!;
      const hi = payload[at + 1]!;
      exponents[i] = (hi << 1) | (lo >>> 7);
      rest[i] = (hi & 0x80) | (lo & 0x7f);
    }
  } else {
    // Sign, 5 exponent, 10 mantissa: the high byte as a whole.
    for (let i = 0, at = 0; i < half; i++, at += 2) {
      exponents[i] = payload[at + 1]!;
      rest[i] = payload[at]!;
    }
  }
  const packed = await compress(exponents);
  const storedBytes = HEAD_BYTES + packed.length + half;
  if (storedBytes > payload.length * (1 - GAIN_MIN)) return undefined;
  const stored = new Uint8Array(storedBytes);
  const view = new DataView(stored.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, packed.length, true);
  stored.set(packed, HEAD_BYTES);
  stored.set(rest, HEAD_BYTES + packed.length);
  return stored;
}

/**
 * Expands `stored`, already verified, into `target`; the two may overlap. False when it is not the stored form of
 * `target.length` bytes.
 */
export async function expandPayload(stored: Uint8Array, target: Uint8Array, split: Split): Promise<boolean> {
  const half = target.length / 2;
  if (split === undefined || target.length % 2 !== 0 || stored.length < HEAD_BYTES + 4) return false;
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  const packedBytes = view.getUint32(4, true);
  if (view.getUint32(0, true) !== target.length || HEAD_BYTES + packedBytes + half !== stored.length)
    return false;
  if (packedBytes < 4 || view.getUint32(HEAD_BYTES, true) !== half) return false;
  const packed = stored.slice(HEAD_BYTES, HEAD_BYTES + packedBytes);
  const rest = stored.slice(HEAD_BYTES + packedBytes);
  let exponents: Uint8Array;
  try {
    exponents = await uncompress(packed);
  } catch {
    return false;
  }
  if (exponents.length !== half) return false;
  if (split === 'bfloat16') {
    for (let i = 0, at = 0; i < half; i++, at += 2) {
      const exponent = exponents[i]!;
      const low = rest[i]!;
      target[at] = ((exponent & 1) << 7) | (low & 0x7f);
      target[at + 1] = (low & 0x80) | (exponent >>> 1);
    }
  } else {
    for (let i = 0, at = 0; i < half; i++, at += 2) {
      target[at] = rest[i]!;
      target[at + 1] = exponents[i]!;
    }
  }
  return true;
}
