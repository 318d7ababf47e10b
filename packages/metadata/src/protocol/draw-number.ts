import type { Chance } from '@refill/interface';

/** A random whole number from 1 to 2^53 - 1, for an id that must not meet another. */
export function drawNumber(chance: Pick<Chance, 'bytes'>): number {
  const [low, high] = new Uint32Array(chance.bytes(new Uint8Array(8)).buffer);
  return Math.max(1, (high! >>> 11) * 2 ** 32 + low!);
}
