import { LOAD_ROW, LOAD_ROW_WORDS } from '../shared-tier.ts';
import type { BlockSource } from './block-source.ts';
import type { SourceGauge } from './source-gauge.ts';

/** Blocks that follow one another are asked of one source up to so many bytes: less would cut up runs of a segment. */
const CHUNK_BYTES: number = 4 * 1024 * 1024;

/** A source that failed lately is taken only for what nobody else has: this much later than its figures say. */
const SUSPENDED_MS = 60_000;

/** A source that may serve this call. */
export interface Candidate {
  readonly source: BlockSource;
  readonly gauge: SourceGauge;
  readonly isSuspended: boolean;
}

export interface ReadPlan {
  /** For each row the index of its source among the candidates; -1 when none may hold it. */
  readonly sourceOf: Int16Array;
  /** For each row, milliseconds until its source would have delivered it and all that it delivers before. */
  readonly readyMs: Float64Array;
  /** For each candidate, milliseconds until it would have delivered its share, and the bytes and blocks of it. */
  readonly finishMs: Float64Array;
  readonly bytes: Float64Array;
  readonly blocks: Uint32Array;
}

/**
 * Spreads the blocks of a read over the sources that may hold them, so that the last byte comes as early as the
 * measured figures allow: chunks in order, each to the source that would deliver it first (list scheduling; Graham,
 * "Bounds on Multiprocessing Timing Anomalies", 1969). A long prefix so flows from several at a time, a short one
 * comes whole from the nearest.
 */
export function planReads(rows: Uint32Array, count: number, candidates: readonly Candidate[]): ReadPlan {
  const sourceOf = new Int16Array(count).fill(-1);
  const readyMs = new Float64Array(count);
  const finishMs = Float64Array.from(candidates, ({ gauge }) => gauge.readyMs());
  const bytes = new Float64Array(candidates.length);
  const blocks = new Uint32Array(candidates.length);
  const holders = holdersOf(rows, count, candidates);
  for (let from = 0; from < count; ) {
    let chunkBytes = lengthOf(rows, from);
    let to = from + 1;
    while (to < count && chunkBytes < CHUNK_BYTES && holders[to] === holders[from]) {
      chunkBytes += lengthOf(rows, to++);
    }
    const best = earliest(holders[from]!, chunkBytes, candidates, finishMs);
    if (best >= 0) {
      for (let i = from; i < to; i++) {
        finishMs[best]! += candidates[best]!.gauge.transferMs(lengthOf(rows, i));
        readyMs[i] = finishMs[best]!;
      }
      bytes[best]! += chunkBytes;
      blocks[best]! += to - from;
      sourceOf.fill(best, from, to);
    }
    from = to;
  }
  return { sourceOf, readyMs, finishMs, bytes, blocks };
}

function lengthOf(rows: Uint32Array, index: number): number {
  return rows[index * LOAD_ROW_WORDS + LOAD_ROW.lengthBytes]!;
}

/** For each block a bit for every candidate that may hold it. */
function holdersOf(rows: Uint32Array, count: number, candidates: readonly Candidate[]): Uint32Array {
  const holders = new Uint32Array(count);
  for (const [at, { source }] of candidates.entries()) {
    if (source.markHeld !== undefined) {
      source.markHeld(rows, count, holders, 1 << at);
      continue;
    }
    for (let i = 0; i < count; i++) if (source.mayHold(rows, i * LOAD_ROW_WORDS)) holders[i]! |= 1 << at;
  }
  return holders;
}

function earliest(
  holders: number,
  bytes: number,
  candidates: readonly Candidate[],
  finishMs: Float64Array,
): number {
  let best = -1;
  let bestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < candidates.length; i++) {
    if ((holders & (1 << i)) === 0) continue;
    const { gauge, isSuspended } = candidates[i]!;
    const atMs = finishMs[i]! + gauge.transferMs(bytes) + (isSuspended ? SUSPENDED_MS : 0);
    if (atMs < bestMs) [best, bestMs] = [i, atMs];
  }
  return best;
}
