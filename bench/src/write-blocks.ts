import { performance } from 'node:perf_hooks';
import type { BlockNamespace, Durability, PutOutcome, Region } from '@refill/interface';
import type { Dataset, Payload } from './dataset.ts';

export interface WriteShape {
  /** Blocks a call. */
  perCall: number;
  /** Calls under way at once; `perCall * inFlight` blocks must fit the payload's memory. */
  inFlight: number;
  durability: Durability;
  deadlineMs: number;
}

export interface WriteTimes {
  seconds: number;
  latenciesUs: number[];
}

/** Puts blocks `0 .. count-1` of the data set out of a registered region; the time ends with the last answer. */
export async function writeBlocks(
  namespace: BlockNamespace,
  region: Region,
  payload: Payload,
  dataset: Dataset,
  { perCall, inFlight, durability, deadlineMs }: WriteShape,
): Promise<WriteTimes> {
  const { blockBytes, count } = dataset.shape;
  if (perCall * inFlight > payload.slots)
    throw new RangeError('the payload is too small for the calls in flight');
  const latenciesUs: number[] = [];
  let next = 0;
  const writer = async (lane: number): Promise<void> => {
    for (;;) {
      // Each writer keeps to its own slots: bytes of a call in flight must not change.
      const first = next;
      if (first >= count) return;
      next = Math.min(count, first + perCall);
      const blocks = [];
      for (let index = first; index < next; index++) {
        const parent = dataset.parent(index);
        const offsetBytes = payload.stamp(lane * perCall + index - first, index);
        blocks.push({
          key: dataset.key(index),
          ...(parent && { parent }),
          offsetBytes,
          lengthBytes: blockBytes,
        });
      }
      const began = performance.now();
      const outcomes = await namespace.putFrom(region, blocks, { durability, deadlineMs });
      latenciesUs.push((performance.now() - began) * 1000);
      assertStored(outcomes, first, lane);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, (_, lane) => writer(lane)));
  return { seconds: (performance.now() - began) / 1000, latenciesUs };
}

function assertStored(outcomes: readonly PutOutcome[], first: number, lane: number): void {
  const bad = outcomes.findIndex((outcome) => outcome !== 'stored');
  if (bad >= 0) throw new Error(`block ${first + bad} was not stored but ${outcomes[bad]} (writer ${lane})`);
}
