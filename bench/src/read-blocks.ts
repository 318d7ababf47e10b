import { performance } from 'node:perf_hooks';
import { type BlockNamespace, KEY_BYTES } from '@refill/interface';

export interface ReadShape {
  keysPerRequest: number;
  /** Requests under way at once. */
  inFlight: number;
  deadlineMs: number;
}

export interface ReadTimes {
  seconds: number;
  /** One entry a request. */
  latenciesUs: number[];
}

/** Reads packed keys once each, in their order, and lets every view go at once. Throws when a block is missing. */
export async function readBlocks(
  namespace: BlockNamespace,
  packedKeys: Uint8Array,
  { keysPerRequest, inFlight, deadlineMs }: ReadShape,
  check?: (index: number, bytes: Uint8Array) => void,
): Promise<ReadTimes> {
  const count = packedKeys.length / KEY_BYTES;
  const latenciesUs: number[] = [];
  let next = 0;
  const reader = async (): Promise<void> => {
    for (;;) {
      const first = next;
      if (first >= count) return;
      next = Math.min(count, first + keysPerRequest);
      const asked = next - first;
      const began = performance.now();
      const answer = await namespace.getMany(packedKeys.subarray(first * KEY_BYTES, next * KEY_BYTES), {
        deadlineMs,
      });
      latenciesUs.push((performance.now() - began) * 1000);
      if (answer.hits !== asked) {
        const missing = answer.views.indexOf(undefined);
        throw new Error(`key ${first + missing} is missing: ${answer.missReason(missing)}`);
      }
      if (check) for (let i = 0; i < asked; i++) check(first + i, answer.views[i]!.bytes);
      answer.release();
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, reader));
  return { seconds: (performance.now() - began) / 1000, latenciesUs };
}
