import type { Expectation } from '@refill/interface';

/** Whether a condition holds for what is there. */
export function holds(expect: Expectation, current: Uint8Array | undefined): boolean {
  if (expect === undefined) return true;
  if ('absent' in expect) return current === undefined;
  return current !== undefined && Buffer.compare(expect.equals, current) === 0;
}

/** Bytes as a string of the same order, to be the key of a Map. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
