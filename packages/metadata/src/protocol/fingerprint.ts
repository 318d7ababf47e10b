import { KEY_WORDS } from '@refill/interface';

/**
 * A block in 63 bits, for hints only: residency and fill leases. Two 32-bit lanes over namespace and key, each eight
 * rounds of multiplication and rotation and the finalizer of MurmurHash3 (Appleby, public domain). Part of the
 * protocol: both sides compute it. Bit 0 of the low word is free for a flag.
 */
export function blockFingerprint(namespace: number, keys: Uint32Array, at: number, out: Uint32Array): void {
  let low = Math.imul(namespace + 1, 0x9e3779b1);
  let high = Math.imul(namespace + 1, 0x85ebca77);
  for (let word = 0; word < KEY_WORDS; word++) {
    const value = keys[at + word]!;
    low = Math.imul(low ^ value, 0xcc9e2d51);
    low = (low << 15) | (low >>> 17);
    high = Math.imul(high ^ value, 0x1b873593);
    high = (high << 13) | (high >>> 19);
  }
  out[0] = finish(low) & ~1;
  out[1] = finish(high ^ low);
}

function finish(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** The same as a number of 53 bits, to be the key of a Map. */
export function fingerprintNumber(low: number, high: number): number {
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}
