import { type Clock, LOOKUP_TIER, type ReadSource } from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '../shared-tier.ts';
import type { BlockSource, SourceTier } from './block-source.ts';
import { hedgedRead, type Slots } from './hedged-read.ts';
import { copyOutcomes, doneBytes, markTier, type Subset, subsetOf } from './load-subset.ts';
import { type Candidate, planReads } from './plan-reads.ts';
import { SourceGauge } from './source-gauge.ts';

/** Sources that one call may be spread over: a bit each in the plan. */
const CANDIDATES_MAX = 30;
/** A source is late when it takes so much longer than its figures say, and at least so long. */
const LATE_FACTOR = 3;
const LATE_MS_MIN = 20;

/**
 * What a source is taken to give before it was measured: a good shared file system, a local disk, a 25 GbE peer.
 * Only the order of the first tries hangs on these.
 */
const PRIOR = {
  shared: { latencyMs: 2, bytesPerMs: 1_000_000 },
  nvme: { latencyMs: 0.2, bytesPerMs: 2_000_000 },
  peer: { latencyMs: 1, bytesPerMs: 2_000_000 },
} as const;

export interface ReadSourcesParts {
  clock: Clock;
  /** The segments: the source of last resort, which every stored block has. */
  shared: BlockSource;
  /** A local disk, where there is one. What is late there belongs to the kernel until it lets go, as of the segments. */
  nvme?: BlockSource | undefined;
  /** Reads from the memory of the member with this slot; `undefined` when it is gone or this node itself. */
  peer(slot: number): BlockSource | undefined;
  slots: Slots;
  /** Told how long each load of a source took. */
  onLoad?: ((tier: SourceTier, elapsedMs: number) => void) | undefined;
}

/** A read that was planned and not made. */
export interface ReadEstimate {
  /** For each row the index of its source in `sources`, -1 when none may hold it, and milliseconds until it is there. */
  readonly sourceOf: Int16Array;
  readonly readyMs: Float64Array;
  readonly sources: readonly { name: string; tier: SourceTier; blocks: number; bytes: number; ms: number }[];
}

export interface ReadSourcesCounters {
  /** Reads that were late at their first source and were asked of the next. */
  hedges: number;
  /** Blocks that the first source did not have or gave wrongly. */
  fallbacks: number;
}

/**
 * Reads blocks from wherever they come soonest. Invariant: memory has one writer at a time. A peer has stopped writing
 * when its load settles, so what it did not deliver is read from the segments into the same memory; a file's late read
 * goes on writing, so whoever is asked in its stead gets another slot (`hedgedRead`).
 */
export class ReadSources {
  readonly counters: ReadSourcesCounters = { hedges: 0, fallbacks: 0 };
  readonly #parts: ReadSourcesParts;
  readonly #gauges = new Map<string, SourceGauge>();
  readonly #tiers = new Map<string, SourceTier>();

  constructor(parts: ReadSourcesParts) {
    this.#parts = parts;
  }

  /**
   * As `SharedTier.load`, except that a block in the arena may come to lie in another slot: its row says which. A late
   * or failing first source costs its patience, three times what its figures promised, never the whole deadline; then
   * the block is asked of another, once.
   */
  async load(rows: Uint32Array, count: number, deadlineMs: number): Promise<void> {
    if (count === 0) return;
    const { clock } = this.#parts;
    const deadlineAtMs = clock.nowMs() + deadlineMs;
    const candidates = this.#candidates(rows, count);
    const shared = candidates[0]!;
    if (candidates.length === 1) return this.#measured(shared, whole(rows, count), deadlineMs);
    const { sourceOf } = planReads(rows, count, candidates);
    for (let i = 0; i < count; i++) {
      if (sourceOf[i] === -1) rows[i * LOAD_ROW_WORDS + LOAD_ROW.status] = LOAD_STATUS.gone;
    }
    await Promise.all(
      candidates.map((candidate, at) => {
        const subset = subsetOf(rows, count, (i) => sourceOf[i] === at);
        if (subset.count === 0) return undefined;
        return candidate.source.tier !== 'peer'
          ? this.#firstFile(candidate, rows, subset, candidates, deadlineAtMs)
          : this.#firstElsewhere(candidate, shared, subset, deadlineAtMs).then(() =>
              copyOutcomes(subset, rows),
            );
      }),
    );
  }

  /**
   * Reads from files; when they are late, from others that have the blocks: for the local disk these are the segments,
   * which have them all. What the local disk does not give is read from the segments into the same memory, unless the
   * kernel still holds that.
   */
  async #firstFile(
    file: Candidate,
    rows: Uint32Array,
    subset: Subset,
    candidates: readonly Candidate[],
    deadlineAtMs: number,
  ): Promise<void> {
    const { clock, slots } = this.#parts;
    const shared = candidates[0]!;
    const isShared = file === shared;
    const others = isShared ? candidates.slice(1) : [shared];
    const lateMs = this.#patienceMs(file, subset.bytes);
    const remainingMs = (): number => Math.max(0, deadlineAtMs - clock.nowMs());
    let isBlamed = false;
    const wasLate = await hedgedRead(
      rows,
      subset,
      this.#measured(file, subset, remainingMs()),
      {
        lateMs,
        mayHold: (its, row) => others.some(({ source }) => source.mayHold(its, row)),
        read: (missing) => this.#spread(missing, others, remainingMs()),
        // At once, for the segments can do without it: a place in a region waits for it to the end.
        onLate: () => {
          isBlamed = !isShared;
          if (isBlamed) file.gauge.fail(clock.nowMs());
        },
      },
      slots,
      clock,
    );
    if (wasLate) this.counters.hedges++;
    if (!isShared) await this.#fallBack(file, shared, rows, subset, isBlamed, remainingMs());
    else if (wasLate) file.gauge.fail(clock.nowMs());
  }

  /** Reads what the local disk did not deliver, and whose memory is free, from the segments. */
  async #fallBack(
    file: Candidate,
    shared: Candidate,
    rows: Uint32Array,
    subset: Subset,
    isBlamed: boolean,
    deadlineMs: number,
  ): Promise<void> {
    let isFailing = false;
    const left = new Set<number>();
    for (const i of subset.indexes.subarray(0, subset.count)) {
      const status = rows[i * LOAD_ROW_WORDS + LOAD_ROW.status]!;
      if (status === LOAD_STATUS.done) continue;
      if (status !== LOAD_STATUS.gone) isFailing = true;
      if (status !== LOAD_STATUS.late && status !== LOAD_STATUS.pending) left.add(i);
    }
    if (isFailing && !isBlamed) file.gauge.fail(this.#parts.clock.nowMs());
    if (left.size === 0) return;
    this.counters.fallbacks += left.size;
    const rest = subsetOf(rows, rows.length / LOAD_ROW_WORDS, (i) => left.has(i));
    await this.#lastResort(shared, rest, deadlineMs);
    copyOutcomes(rest, rows);
  }

  /** Reads from the segments; what is not in them is gone. */
  async #lastResort(shared: Candidate, rest: Subset, deadlineMs: number): Promise<void> {
    const stored = subsetOf(rest.rows, rest.count, (i) =>
      shared.source.mayHold(rest.rows, i * LOAD_ROW_WORDS),
    );
    await this.#measured(shared, stored, deadlineMs);
    copyOutcomes(stored, rest.rows);
    for (let i = 0; i < rest.count; i++) {
      const row = i * LOAD_ROW_WORDS;
      if (rest.rows[row + LOAD_ROW.status] === LOAD_STATUS.pending)
        rest.rows[row + LOAD_ROW.status] = LOAD_STATUS.gone;
    }
  }

  /** Reads each block from the candidate that promises it first; what none may hold stays pending. */
  async #spread(missing: Subset, candidates: readonly Candidate[], deadlineMs: number): Promise<void> {
    const { sourceOf } = planReads(missing.rows, missing.count, candidates);
    await Promise.all(
      candidates.map(async (candidate, at) => {
        const subset = subsetOf(missing.rows, missing.count, (i) => sourceOf[i] === at);
        await this.#measured(candidate, subset, deadlineMs);
        copyOutcomes(subset, missing.rows);
      }),
    );
  }

  #patienceMs({ gauge }: Candidate, bytes: number): number {
    return Math.max(LATE_MS_MIN, LATE_FACTOR * gauge.estimateMs(bytes));
  }

  /** What would be read from where, and when each block would be there, without reading. */
  plan(rows: Uint32Array, count: number): ReadEstimate {
    const candidates = this.#candidates(rows, count);
    const { sourceOf, readyMs, finishMs, bytes, blocks } = planReads(rows, count, candidates);
    const sources = candidates.map(({ source: { name, tier } }, i) => ({
      name,
      tier,
      blocks: blocks[i]!,
      bytes: bytes[i]!,
      ms: finishMs[i]!,
    }));
    return { sourceOf, readyMs, sources };
  }

  /** Milliseconds that so many bytes would take now from the segments, and from the local disk. */
  estimatesMs(bytes: number): { shared: number; nvme: number } {
    const { shared, nvme } = this.#parts;
    const of = (source: BlockSource): number => this.#candidate(source).gauge.estimateMs(bytes);
    return { shared: of(shared), nvme: nvme === undefined ? Number.POSITIVE_INFINITY : of(nvme) };
  }

  /** How every source stands that was ever asked or planned with. */
  readings(): ReadSource[] {
    const nowMs = this.#parts.clock.nowMs();
    return [...this.#gauges].map(([name, gauge]) => ({
      name,
      tier: this.#tiers.get(name)!,
      ...gauge.reading(nowMs),
    }));
  }

  /** Reads from a peer, which may not deliver; what it did not is read from the segments in the time that is left. */
  async #firstElsewhere(
    candidate: Candidate,
    shared: Candidate,
    subset: Subset,
    deadlineAtMs: number,
  ): Promise<void> {
    const { clock } = this.#parts;
    const { gauge } = candidate;
    const remainingMs = Math.max(0, deadlineAtMs - clock.nowMs());
    const patienceMs = Math.min(remainingMs, this.#patienceMs(candidate, subset.bytes));
    await this.#measured(candidate, subset, patienceMs);
    const { rows } = subset;
    let isFailing = false;
    const rest = subsetOf(rows, subset.count, (i) => {
      const status = rows[i * LOAD_ROW_WORDS + LOAD_ROW.status]!;
      if (status !== LOAD_STATUS.done && status !== LOAD_STATUS.gone) isFailing = true;
      return status !== LOAD_STATUS.done;
    });
    if (isFailing) gauge.fail(clock.nowMs());
    if (rest.count === 0) return;
    if (isFailing) this.counters.hedges++;
    this.counters.fallbacks += rest.count;
    await this.#lastResort(shared, rest, Math.max(0, deadlineAtMs - clock.nowMs()));
    copyOutcomes(rest, rows);
  }

  async #measured({ source, gauge }: Candidate, subset: Subset, deadlineMs: number): Promise<void> {
    if (subset.count === 0) return;
    const { clock } = this.#parts;
    const start = gauge.begin(subset.bytes, clock.nowMs());
    try {
      await source.load(subset.rows, subset.count, deadlineMs);
    } finally {
      const nowMs = clock.nowMs();
      gauge.end(start, subset.bytes, doneBytes(subset), nowMs);
      markTier(subset, LOOKUP_TIER[source.tier]);
      this.#parts.onLoad?.(source.tier, nowMs - start.atMs);
    }
  }

  /** The segments first, then who may hold some of the blocks and is not left alone just now. */
  #candidates(rows: Uint32Array, count: number): Candidate[] {
    const { shared, nvme } = this.#parts;
    const candidates = [this.#candidate(shared)];
    if (nvme !== undefined) this.#add(candidates, nvme);
    const seen = new Set<number>();
    for (let i = 0; i < count && candidates.length < CANDIDATES_MAX; i++) {
      const row = i * LOAD_ROW_WORDS;
      for (const word of [rows[row + LOAD_ROW.holdersLo]!, rows[row + LOAD_ROW.holdersHi]!]) {
        if (word === 0) continue;
        for (const slot of [word & 0xffff, word >>> 16]) {
          if (slot === 0 || seen.has(slot)) continue;
          seen.add(slot);
          const peer = this.#parts.peer(slot);
          if (peer !== undefined) this.#add(candidates, peer);
        }
      }
    }
    return candidates;
  }

  #add(candidates: Candidate[], source: BlockSource): void {
    const candidate = this.#candidate(source);
    if (candidates.length < CANDIDATES_MAX && !candidate.isSuspended) candidates.push(candidate);
  }

  #candidate(source: BlockSource): Candidate {
    let gauge = this.#gauges.get(source.name);
    if (gauge === undefined) {
      gauge = new SourceGauge(PRIOR[source.tier]);
      this.#gauges.set(source.name, gauge);
      this.#tiers.set(source.name, source.tier);
    }
    return { source, gauge, isSuspended: gauge.isSuspended(this.#parts.clock.nowMs()) };
  }
}

/** The rows of a call as they are: with one source nothing is copied. */
function whole(rows: Uint32Array, count: number): Subset {
  let bytes = 0;
  for (let i = 0; i < count; i++) bytes += rows[i * LOAD_ROW_WORDS + LOAD_ROW.lengthBytes]!;
  return { rows, count, indexes: new Int32Array(0), bytes };
}
