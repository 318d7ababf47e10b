import {
  BLOCK_FLAG,
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  LOOKUP_TIER,
  READ_ROW,
  READ_ROW_WORDS,
  REGION_ROW,
  REGION_ROW_WORDS,
  RefillError,
  type RegionId,
  ROW_STATUS,
} from '@refill/interface';
import { COPY_LATE, CopyOut } from '../arena/copy.ts';
import { isDirectPlace } from '../arena/direct-io.ts';
import type { Region } from '../arena/regions.ts';
import { fillLoadRow } from '../fill-rows.ts';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '../shared-tier.ts';
import { checkDeadline, checkKeys, checkPlaces, checkRows, placeOffset } from './arguments.ts';
import { AwaitedBlocks } from './awaited-blocks.ts';
import { doneBy } from './deadline.ts';
import type { DirectSource } from './direct-reads.ts';
import { gatherMisses, locateMisses, type Misses } from './find-misses.ts';
import { type Flight, touchFound } from './load-blocks.ts';
import { loadFresh } from './load-fresh.ts';
import { countHit, countOutcome, outcomeOf } from './read-outcome.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/**
 * The path of a read into a client's own memory: blocks in DRAM are copied; others are read from segments straight to
 * their place, without the arena. Blocks on their way into the arena, and places that direct I/O cannot use, are awaited
 * there and copied. What somebody else is reading straight into a region just now is copied from there and verified:
 * however many ask for a block at a time, the device reads it once. Settles only when no I/O of this call goes on, but
 * for what the kernel holds past the deadline: rows `late`, whose places must not be used before the region is
 * unregistered or the block is asked again.
 */
export function getInto(
  state: SessionState,
  namespace: number,
  region: RegionId,
  keys: Uint32Array,
  places: Uint32Array,
  count: number,
  deadlineMs: number,
  rows: Uint32Array,
): void | Promise<void> {
  checkOpen(state);
  checkKeys(keys, count);
  checkRows('rows', rows, count, READ_ROW_WORDS);
  checkDeadline(deadlineMs);
  checkNamespace(state, namespace);
  const target = state.core.regions.get(state.number, region);
  checkPlaces(places, count, target.sizeBytes);
  if (count === 0) return;
  return new RegionRead(state, namespace, target, places, rows, deadlineMs).run(keys, count);
}

/** Id of a direct read that nobody can join. */
const NOT_SHARED = -1;

/** Misses that are read straight to their place: index, id in `NodeCore.direct`, and other memory to take it from. */
class DirectMisses {
  readonly indexes: number[] = [];
  readonly ids: number[] = [];
  readonly sources: (DirectSource | undefined)[] = [];

  add(index: number, id: number, source?: DirectSource): void {
    this.indexes.push(index);
    this.ids.push(id);
    this.sources.push(source);
  }
}

function fillSource(rows: Uint32Array, index: number, { region, offset }: DirectSource): void {
  const row = index * LOAD_ROW_WORDS;
  rows[row + LOAD_ROW.sourceBuffer] = region.buffer;
  rows[row + LOAD_ROW.sourceOffsetLo] = offset >>> 0;
  rows[row + LOAD_ROW.sourceOffsetHi] = Math.floor(offset / 2 ** 32);
}

class RegionRead {
  readonly #state: SessionState;
  readonly #namespace: number;
  readonly #region: Region;
  readonly #places: Uint32Array;
  readonly #rows: Uint32Array;
  readonly #deadlineAtMs: number;

  constructor(
    state: SessionState,
    namespace: number,
    region: Region,
    places: Uint32Array,
    rows: Uint32Array,
    deadlineMs: number,
  ) {
    this.#state = state;
    this.#namespace = namespace;
    this.#region = region;
    this.#places = places;
    this.#rows = rows;
    this.#deadlineAtMs = state.core.clock.nowMs() + deadlineMs;
  }

  async run(keys: Uint32Array, count: number): Promise<void> {
    const { core } = this.#state;
    core.regions.begin(this.#region);
    try {
      core.counters.keys += count;
      this.#rows.fill(0, 0, count * READ_ROW_WORDS);
      const hits = new CopyOut();
      const missing = new Int32Array(count);
      let missed = 0;
      for (let i = 0; i < count; i++) {
        const id = core.tier.find(this.#namespace, keys, i * KEY_WORDS);
        if (id >= 0 && core.tier.isReadable(id)) this.#copyFrom(hits, id, i);
        else missing[missed++] = i;
      }
      await Promise.all([
        this.#copy(hits, true),
        missed > 0 ? this.#readMisses(gatherMisses(keys, missing, missed)) : undefined,
      ]);
    } finally {
      core.regions.end(this.#region);
    }
    for (let i = 0; i < count; i++) {
      const status = this.#rows[i * READ_ROW_WORDS + READ_ROW.status]!;
      if (status !== ROW_STATUS.hit) countOutcome(core.counters, status);
    }
    if (this.#state.isClosed)
      throw new RefillError('ERR_NODE_CLOSED', 'the session was closed while the call waited');
  }

  #remainingMs(): number {
    return Math.max(0, this.#deadlineAtMs - this.#state.core.clock.nowMs());
  }

  async #readMisses(misses: Misses): Promise<void> {
    const { core } = this.#state;
    const setAll = (status: number): void => {
      for (let i = 0; i < misses.count; i++) this.#setStatus(misses.positions[i]!, status);
    };
    try {
      const waiting = locateMisses(core, this.#namespace, misses);
      if (waiting !== undefined && !(await doneBy(core.clock, this.#deadlineAtMs, waiting))) {
        setAll(ROW_STATUS.late);
        return;
      }
    } catch (error) {
      core.log.error('lookup of %d keys failed: %s', misses.count, error);
      setAll(ROW_STATUS.failed);
      return;
    }
    touchFound(core, misses.locations, misses.count);
    const copies = new CopyOut();
    const awaited = new AwaitedBlocks();
    const flight = core.loads.prepare(misses.count);
    const direct = new DirectMisses();
    const joined = new DirectMisses();
    for (let i = 0; i < misses.count; i++) this.#choose(misses, i, copies, awaited, flight, direct, joined);
    for (const its of new Set(awaited.ids.map((id) => core.loads.flightOf(id)!))) awaited.board(its);
    core.loads.depart(flight, this.#remainingMs());
    await Promise.all([
      this.#copy(copies, true),
      this.#readDirect(misses, direct),
      this.#readJoined(misses, joined),
      this.#readAwaited(awaited),
    ]);
  }

  /** Which way miss `i` takes. */
  #choose(
    misses: Misses,
    i: number,
    copies: CopyOut,
    awaited: AwaitedBlocks,
    flight: Flight,
    direct: DirectMisses,
    joined: DirectMisses,
  ): void {
    const { tier, loads, counters, direct: underWay } = this.#state.core;
    const position = misses.positions[i]!;
    let id = tier.find(this.#namespace, misses.keys, i * KEY_WORDS);
    if (id >= 0 && tier.isReadable(id)) {
      this.#copyFrom(copies, id, position);
      return;
    }
    if (id >= 0) {
      if (loads.flightOf(id) === undefined) return;
      counters.joins++;
    } else {
      const at = i * LOCATION_ROW_WORDS;
      if (misses.locations[at + LOCATION_ROW.found] === 0) return;
      const lengthBytes = misses.locations[at + LOCATION_ROW.lengthBytes]!;
      if (!this.#fits(position, lengthBytes, misses.locations[at + LOCATION_ROW.tokens]!)) return;
      const isDirect = isDirectPlace(this.#places, position, lengthBytes);
      if (isDirect) {
        const its = underWay.find(this.#namespace, misses.keys, i * KEY_WORDS);
        if (its < 0) {
          direct.add(i, underWay.begin(this.#namespace, misses.keys, i * KEY_WORDS));
          return;
        }
        // What was stored compressed lies expanded in the other region, where nothing can verify it.
        if ((misses.locations[at + LOCATION_ROW.flags]! & BLOCK_FLAG.compressed) === 0) {
          counters.joins++;
          joined.add(i, its);
          return;
        }
      }
      id = loads.add(flight, this.#namespace, misses.keys, i, misses.locations, i);
      if (id < 0 && isDirect) {
        // Without room in the arena it is better read once more than not at all.
        direct.add(i, NOT_SHARED);
        return;
      }
      if (id < 0) {
        this.#setStatus(position, ROW_STATUS.noRoom);
        return;
      }
    }
    tier.pin(id);
    awaited.ids.push(id);
    awaited.positions.push(position);
  }

  async #readDirect(misses: Misses, { indexes, ids, sources }: DirectMisses): Promise<void> {
    if (indexes.length === 0) return;
    const { core } = this.#state;
    const rows = new Uint32Array(indexes.length * LOAD_ROW_WORDS);
    for (const [i, miss] of indexes.entries()) {
      const { buffer } = this.#region;
      const offset = placeOffset(this.#places, misses.positions[miss]!);
      const { keys, locations } = misses;
      fillLoadRow(rows, i, this.#namespace, keys, miss, locations, miss, buffer, offset);
      const source = sources[i];
      if (source !== undefined) fillSource(rows, i, source);
    }
    await loadFresh(core, rows, indexes.length, this.#remainingMs()).catch((error) => {
      core.log.error('load of %d blocks into a region failed: %s', indexes.length, error);
    });
    for (const [i, miss] of indexes.entries()) {
      const row = i * LOAD_ROW_WORDS;
      const status = rows[row + LOAD_ROW.status]!;
      const position = misses.positions[miss]!;
      if (status === LOAD_STATUS.late) core.regions.hold(this.#region, 1);
      if (status === LOAD_STATUS.done)
        countHit(core.counters, rows[row + LOAD_ROW.tier]!, rows[row + LOAD_ROW.lengthBytes]!);
      this.#setStatus(position, outcomeOf(status));
      const source = sources[i];
      // A copy that is late still reads from its source; if that is this region, what is held keeps it.
      if (source !== undefined && status === LOAD_STATUS.late && source.region !== this.#region)
        core.regions.whenIdle(this.#region, () => core.regions.end(source.region));
      else if (source !== undefined) core.regions.end(source.region);
      if (ids[i] === NOT_SHARED) continue;
      const place = { region: this.#region, offset: placeOffset(this.#places, position) };
      core.direct.end(ids[i]!, status === LOAD_STATUS.done ? place : undefined);
    }
  }

  /** Blocks that others read straight into their regions: taken from there, or chosen anew if they did not land. */
  async #readJoined(misses: Misses, { indexes, ids }: DirectMisses): Promise<void> {
    if (indexes.length === 0) return;
    const { core } = this.#state;
    const landed = new DirectMisses();
    const again: number[] = [];
    let isOver = false;
    const each = indexes.map(async (miss, i) => {
      const source = await core.direct.landed(ids[i]!);
      if (isOver && source !== undefined) core.regions.end(source.region);
      else if (source !== undefined) landed.add(miss, NOT_SHARED, source);
      else again.push(miss);
    });
    const inTime = await doneBy(core.clock, this.#deadlineAtMs, Promise.all(each));
    isOver = true;
    if (!inTime) {
      const settled = new Set([...landed.indexes, ...again]);
      for (const miss of indexes)
        if (!settled.has(miss)) this.#setStatus(misses.positions[miss]!, ROW_STATUS.late);
    }
    const left = gatherMisses(misses.keys, Int32Array.from(again), again.length);
    const positions = Int32Array.from(again, (miss) => misses.positions[miss]!);
    await Promise.all([
      this.#readDirect(misses, landed),
      again.length > 0 ? this.#readMisses({ ...left, positions }) : undefined,
    ]);
  }

  async #readAwaited(awaited: AwaitedBlocks): Promise<void> {
    if (awaited.ids.length === 0) return;
    const { core } = this.#state;
    await doneBy(core.clock, this.#deadlineAtMs, awaited.landedAll());
    const copies = new CopyOut();
    for (let i = 0; i < awaited.ids.length; i++) {
      const id = awaited.ids[i]!;
      const isLoading = core.loads.flightOf(id) !== undefined;
      if (core.tier.isReadable(id)) this.#copyFrom(copies, id, awaited.positions[i]!);
      else
        this.#setStatus(awaited.positions[i]!, isLoading ? ROW_STATUS.late : core.tier.columns.outcome[id]!);
      core.tier.unpin(id);
    }
    await this.#copy(copies, false);
  }

  /** Adds a copy of a readable block, which it borrows, if the block fits its place. */
  #copyFrom(copies: CopyOut, id: number, position: number): void {
    const { tier } = this.#state.core;
    const lengthBytes = tier.columns.lengthBytes[id]!;
    if (!this.#fits(position, lengthBytes, tier.columns.tokens[id]!)) return;
    tier.borrow(id);
    tier.touch(id);
    copies.ids.push(id);
    copies.positions.push(position);
    copies.copies.add(
      0,
      tier.offsetOf(id),
      this.#region.buffer,
      placeOffset(this.#places, position),
      lengthBytes,
    );
  }

  async #copy(out: CopyOut, isDramHit: boolean): Promise<void> {
    if (out.ids.length === 0) return;
    const { core } = this.#state;
    const startedMs = core.clock.nowMs();
    await out.copies.run(core, this.#remainingMs());
    for (let i = 0; i < out.ids.length; i++) {
      const id = out.ids[i]!;
      const position = out.positions[i]!;
      if (out.copies.isDone(i)) {
        this.#setStatus(position, ROW_STATUS.hit);
        const source = isDramHit ? LOOKUP_TIER.dram : core.tier.columns.source[id]!;
        countHit(core.counters, source, core.tier.columns.lengthBytes[id]!);
      } else if (out.copies.results[i] === COPY_LATE) {
        // The source is still read from: it stays borrowed until the kernel lets go of the region.
        this.#setStatus(position, ROW_STATUS.late);
        core.regions.hold(this.#region, 1);
        core.regions.whenIdle(this.#region, () => core.tier.giveBack(id));
        continue;
      } else {
        this.#setStatus(position, ROW_STATUS.failed);
      }
      core.tier.giveBack(id);
    }
    if (isDramHit) core.dramLatency.record(core.clock.nowMs() - startedMs);
  }

  /** Notes length and tokens; false, with status `tooLong`, when the place is too small. */
  #fits(position: number, lengthBytes: number, tokens: number): boolean {
    this.#rows[position * READ_ROW_WORDS + READ_ROW.lengthBytes] = lengthBytes;
    this.#rows[position * READ_ROW_WORDS + READ_ROW.tokens] = tokens;
    if (lengthBytes <= this.#places[position * REGION_ROW_WORDS + REGION_ROW.lengthBytes]!) return true;
    this.#setStatus(position, ROW_STATUS.tooLong);
    return false;
  }

  #setStatus(position: number, status: number): void {
    this.#rows[position * READ_ROW_WORDS + READ_ROW.status] = status;
  }
}
