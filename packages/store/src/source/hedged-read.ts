import type { Clock } from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '../shared-tier.ts';
import { copyOutcome, type Subset, subsetOf } from './load-subset.ts';
import type { SpareSlots } from './spare-slots.ts';

/** The arena: only its blocks have slots that can be exchanged. A place in a client's region is the only one. */
const ARENA = 0;

export interface Slots {
  readonly spares: SpareSlots;
  /** A loading block takes another slot. Answers whether the kernel had let go of the old one (`BlockIO.onRelease`). */
  move(fromOffset: number, toOffset: number): boolean;
}

export interface Hedge {
  /** The second read: when it settles nothing writes to its memory any more, but for that of rows `late`. */
  read(missing: Subset): Promise<void>;
  /** Whether the second source may hold the block of this row. */
  mayHold(rows: Uint32Array, row: number): boolean;
  /** Milliseconds after which the first read is late. */
  lateMs: number;
  /** Told when it is. */
  onLate?: (() => void) | undefined;
}

/**
 * A read that is asked of somebody else, once, when it is late. The first read still owns its memory, so the second
 * goes to slots of its own; a block takes the slot of whichever read brings it first, and its row in `rows` says
 * which. Settles when every block is there, or when both reads have settled; a read that is not needed any more ends by itself,
 * and its slots with it. Answers whether there was a second read.
 */
export async function hedgedRead(
  rows: Uint32Array,
  first: Subset,
  reading: Promise<void>,
  hedge: Hedge,
  slots: Slots,
  clock: Clock,
): Promise<boolean> {
  if (await settlesWithin(clock, reading, hedge.lateMs)) {
    for (let i = 0; i < first.count; i++) copyOutcome(first, i, rows);
    return false;
  }
  hedge.onLate?.();
  const second = spareSubset(first, hedge, slots.spares);
  let isFirstSettled = false;
  const isMoved = new Uint8Array(first.count);
  const firstDone = reading.finally(() => {
    isFirstSettled = true;
    for (let i = 0; i < first.count; i++) {
      if (isMoved[i] === 1)
        slots.spares.settle(offsetAt(first.rows, i), statusAt(first.rows, i) === LOAD_STATUS.late);
    }
  });
  const secondDone = (second.count === 0 ? Promise.resolve() : hedge.read(second)).finally(() => {
    for (let j = 0; j < second.count; j++) {
      const i = second.indexes[j]!;
      const spare = offsetAt(second.rows, j);
      if (statusAt(second.rows, j) !== LOAD_STATUS.done || statusAt(first.rows, i) === LOAD_STATUS.done) {
        slots.spares.settle(spare, statusAt(second.rows, j) === LOAD_STATUS.late);
        continue;
      }
      const old = offsetAt(first.rows, i);
      slots.spares.keep(spare);
      slots.spares.leave(old, slots.move(old, spare));
      if (isFirstSettled) slots.spares.settle(old, statusAt(first.rows, i) === LOAD_STATUS.late);
      isMoved[i] = 1;
      setOffset(rows, first.indexes[i]!, spare);
      const tier = second.rows[j * LOAD_ROW_WORDS + LOAD_ROW.tier]!;
      rows[first.indexes[i]! * LOAD_ROW_WORDS + LOAD_ROW.tier] = tier;
    }
  });
  const isThere = (i: number): boolean => isMoved[i] === 1 || statusAt(first.rows, i) === LOAD_STATUS.done;
  const all = Promise.all([firstDone, secondDone]);
  await Promise.race([firstDone, secondDone]);
  let missing = 0;
  for (let i = 0; i < first.count; i++) if (!isThere(i)) missing++;
  if (missing > 0) await all;
  else all.catch(() => undefined);
  for (let i = 0; i < first.count; i++) {
    if (isMoved[i] === 1) rows[first.indexes[i]! * LOAD_ROW_WORDS + LOAD_ROW.status] = LOAD_STATUS.done;
    else copyOutcome(first, i, rows);
  }
  return second.count > 0;
}

/** The blocks that are missing and that the second source may hold, each with a slot of its own while there is room. */
function spareSubset(first: Subset, hedge: Hedge, spares: SpareSlots): Subset {
  const offsets: number[] = [];
  const subset = subsetOf(first.rows, first.count, (i) => {
    const row = i * LOAD_ROW_WORDS;
    if (statusAt(first.rows, i) === LOAD_STATUS.done || first.rows[row + LOAD_ROW.buffer] !== ARENA)
      return false;
    if (!hedge.mayHold(first.rows, row)) return false;
    const offset = spares.take(first.rows[row + LOAD_ROW.lengthBytes]!);
    if (offset === undefined) return false;
    offsets.push(offset);
    return true;
  });
  for (let j = 0; j < subset.count; j++) setOffset(subset.rows, j, offsets[j]!);
  return subset;
}

function settlesWithin(clock: Clock, work: Promise<void>, ms: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve(false));
    work.then(() => resolve(true), reject).finally(cancel);
  });
}

function statusAt(rows: Uint32Array, index: number): number {
  return rows[index * LOAD_ROW_WORDS + LOAD_ROW.status]!;
}

function offsetAt(rows: Uint32Array, index: number): number {
  const row = index * LOAD_ROW_WORDS;
  return rows[row + LOAD_ROW.bufferOffsetHi]! * 2 ** 32 + rows[row + LOAD_ROW.bufferOffsetLo]!;
}

function setOffset(rows: Uint32Array, index: number, offset: number): void {
  const row = index * LOAD_ROW_WORDS;
  rows[row + LOAD_ROW.bufferOffsetLo] = offset >>> 0;
  rows[row + LOAD_ROW.bufferOffsetHi] = Math.floor(offset / 2 ** 32);
}
