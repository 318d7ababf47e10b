import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '../shared-tier.ts';

/** Rows of one call that go to one source, copied: the source may still fill them when the call has moved on. */
export interface Subset {
  readonly rows: Uint32Array;
  readonly count: number;
  /** Index of each in the call. */
  readonly indexes: Int32Array;
  readonly bytes: number;
}

/** The rows for which `isIn` holds, in their order. */
export function subsetOf(rows: Uint32Array, count: number, isIn: (index: number) => boolean): Subset {
  const indexes = new Int32Array(count);
  let taken = 0;
  for (let i = 0; i < count; i++) if (isIn(i)) indexes[taken++] = i;
  const own = new Uint32Array(taken * LOAD_ROW_WORDS);
  let bytes = 0;
  for (let i = 0; i < taken; i++) {
    const from = indexes[i]! * LOAD_ROW_WORDS;
    own.set(rows.subarray(from, from + LOAD_ROW_WORDS), i * LOAD_ROW_WORDS);
    own[i * LOAD_ROW_WORDS + LOAD_ROW.status] = LOAD_STATUS.pending;
    bytes += rows[from + LOAD_ROW.lengthBytes]!;
  }
  return { rows: own, count: taken, indexes, bytes };
}

/** Writes the outcomes of a subset back to the rows of the call. */
export function copyOutcomes(subset: Subset, rows: Uint32Array): void {
  for (let i = 0; i < subset.count; i++) copyOutcome(subset, i, rows);
}

/** Writes the outcome of one block back. */
export function copyOutcome(subset: Subset, index: number, rows: Uint32Array): void {
  const [to, from] = [subset.indexes[index]! * LOAD_ROW_WORDS, index * LOAD_ROW_WORDS];
  rows[to + LOAD_ROW.status] = subset.rows[from + LOAD_ROW.status]!;
  rows[to + LOAD_ROW.tier] = subset.rows[from + LOAD_ROW.tier]!;
}

/** Bytes of the rows that are `done`. */
export function doneBytes(subset: Subset): number {
  let bytes = 0;
  for (let i = 0; i < subset.count; i++) {
    const row = i * LOAD_ROW_WORDS;
    if (subset.rows[row + LOAD_ROW.status] === LOAD_STATUS.done)
      bytes += subset.rows[row + LOAD_ROW.lengthBytes]!;
  }
  return bytes;
}

/** Notes in each row that is `done` from which tier it came (`LOOKUP_TIER`). */
export function markTier(subset: Subset, tier: number): void {
  for (let i = 0; i < subset.count; i++) {
    const row = i * LOAD_ROW_WORDS;
    if (subset.rows[row + LOAD_ROW.status] === LOAD_STATUS.done) subset.rows[row + LOAD_ROW.tier] = tier;
  }
}
