import {
  ENTRY_NONE,
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  LOOKUP_TIER,
  SLOT_UNIT_BYTES,
} from '@refill/interface';
import { BLOCK_STATE } from '../arena/block-columns.ts';
import { fillLoadRow } from '../fill-rows.ts';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '../shared-tier.ts';
import { loadFresh } from './load-fresh.ts';
import type { NodeCore } from './node-parts.ts';
import { outcomeOf } from './read-outcome.ts';

/** Somebody who waits for blocks; told once for every flight that he boarded. */
export interface FlightWaiter {
  landed(flight: Flight): void;
}

/** One call of `SharedTier.load` into the arena. */
export interface Flight {
  readonly ids: Int32Array;
  count: number;
  readonly rows: Uint32Array;
  readonly waiters: FlightWaiter[];
  /** The directory's life (`NodeCore.placesLife`) whose indexes the rows have. */
  readonly placesLife: number;
}

/**
 * Reads from the shared tier into the arena, each block once at a time: who wants a block that is on its way boards
 * its flight. The flight owns its blocks' slots by a borrow until it lands, whoever else leaves.
 */
export class LoadBlocks {
  readonly #core: NodeCore;
  readonly #flights = new Map<number, Flight>();

  constructor(core: NodeCore) {
    this.#core = core;
  }

  /** Blocks on their way. */
  get size(): number {
    return this.#flights.size;
  }

  /** The flight of a block in state `loading`. */
  flightOf(id: number): Flight | undefined {
    return this.#flights.get(id);
  }

  /** Segment and offset in pages that a block is being read from; `undefined` when it is not, or that means nothing now. */
  placeOf(id: number): readonly [segment: number, offsetPages: number] | undefined {
    const flight = this.#flights.get(id);
    if (flight === undefined || flight.placesLife !== this.#core.placesLife) return undefined;
    const row = flight.ids.indexOf(id) * LOAD_ROW_WORDS;
    return [flight.rows[row + LOAD_ROW.segment]!, flight.rows[row + LOAD_ROW.offsetPages]!];
  }

  /** A flight for up to `capacity` blocks; `add` them, then `depart`. */
  prepare(capacity: number): Flight {
    return {
      ids: new Int32Array(capacity),
      count: 0,
      rows: new Uint32Array(capacity * LOAD_ROW_WORDS),
      waiters: [],
      placesLife: this.#core.placesLife,
    };
  }

  /** Takes a slot for key `index` of `keys` at location row `at`; its id, or -1 when there is no room. */
  add(
    flight: Flight,
    namespace: number,
    keys: Uint32Array,
    index: number,
    locations: Uint32Array,
    at: number,
  ): number {
    const { tier } = this.#core;
    const row = at * LOCATION_ROW_WORDS;
    const lengthBytes = locations[row + LOCATION_ROW.lengthBytes]!;
    const tokens = locations[row + LOCATION_ROW.tokens]!;
    const id = tier.take(namespace, keys, index * KEY_WORDS, lengthBytes, tokens, BLOCK_STATE.loading);
    if (id < 0) return -1;
    fillLoadRow(
      flight.rows,
      flight.count,
      namespace,
      keys,
      index,
      locations,
      at,
      0,
      tier.columns.unit[id]! * SLOT_UNIT_BYTES,
    );
    tier.columns.entry[id] = locations[row + LOCATION_ROW.entry]!;
    flight.ids[flight.count++] = id;
    this.#flights.set(id, flight);
    return id;
  }

  /** Sends it off; waiters may board until it lands. The caller's deadline is not the read's: see `loadDeadlineMs`. */
  depart(flight: Flight, deadlineMs: number): void {
    if (flight.count === 0) return;
    const { options, log } = this.#core;
    const landed = (): void => this.#land(flight);
    loadFresh(this.#core, flight.rows, flight.count, Math.max(deadlineMs, options.loadDeadlineMs)).then(
      landed,
      (error) => {
        log.error('load of %d blocks failed: %s', flight.count, error);
        landed();
      },
    );
  }

  #land(flight: Flight): void {
    const { tier } = this.#core;
    for (let i = 0; i < flight.count; i++) {
      const id = flight.ids[i]!;
      const status = flight.rows[i * LOAD_ROW_WORDS + LOAD_ROW.status]!;
      this.#flights.delete(id);
      tier.columns.outcome[id] = outcomeOf(status);
      // A row left pending may still have I/O under way: as good as late.
      if (status === LOAD_STATUS.done) {
        this.#noteSource(id, flight, i * LOAD_ROW_WORDS);
        tier.settleLoad(id);
      } else if (status === LOAD_STATUS.late || status === LOAD_STATUS.pending) tier.quarantine(id);
      else {
        tier.drop(id);
        tier.giveBack(id);
      }
    }
    for (const waiter of flight.waiters) waiter.landed(flight);
  }

  /** What a file gave was verified against its location; a peer may have an older block under the key. */
  #noteSource(id: number, { rows, placesLife }: Flight, row: number): void {
    const { columns } = this.#core.tier;
    const source = rows[row + LOAD_ROW.tier]!;
    columns.source[id] = source;
    if (source === LOOKUP_TIER.peer || placesLife !== this.#core.placesLife) return;
    columns.segment[id] = rows[row + LOAD_ROW.segment]!;
    columns.offsetPages[id] = rows[row + LOAD_ROW.offsetPages]!;
  }
}

/** Tells the directory which blocks were found, for recency. */
export function touchFound(core: NodeCore, locations: Uint32Array, count: number): void {
  const entries = new Uint32Array(count);
  let found = 0;
  for (let i = 0; i < count; i++) {
    const entry = locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.entry]!;
    if (locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] !== 0 && entry !== ENTRY_NONE)
      entries[found++] = entry;
  }
  if (found > 0) core.directory.touch(entries, found);
}
