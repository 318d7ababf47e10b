import { native } from './native.ts';

type Settle = (status: number) => void;

/** Pairs of slot and status that are taken at once. */
const settled = new Int32Array(256);
const waiting: (Settle | undefined)[] = [];
const spare: number[] = [];

/** A number for a batch that native code has, free again once `settle` was called or by `freeSlot`. */
export function takeSlot(settle: Settle): number {
  const slot = spare.pop() ?? waiting.length;
  waiting[slot] = settle;
  return slot;
}

export function freeSlot(slot: number): void {
  waiting[slot] = undefined;
  spare.push(slot);
}

/** Tells of every batch that workers are done with. */
export function settleBatches(): void {
  for (;;) {
    const count = native.takeSettled(settled);
    for (let i = 0; i < count; i++) {
      const slot = settled[2 * i]!;
      const settle = waiting[slot];
      freeSlot(slot);
      settle?.(settled[2 * i + 1]!);
    }
    if (count * 2 < settled.length) return;
  }
}
