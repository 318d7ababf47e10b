import {
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  READ_ROW,
  READ_ROW_WORDS,
  RefillError,
  ROW_STATUS,
} from '@refill/interface';
import { BLOCK_STATE } from '../arena/block-columns.ts';
import type { Pins } from '../arena/pins.ts';
import { gatherMisses, locateMisses, type Misses } from './find-misses.ts';
import { type Flight, type FlightWaiter, touchFound } from './load-blocks.ts';
import { countHit, countOutcome } from './read-outcome.ts';
import { fillHit } from './read-row.ts';
import type { SessionState, WaitingCall } from './session-state.ts';

const NONE = -1;

/**
 * A read that has to wait: for the directory, for flights. It pins what it waits for, so that a block that lands stays
 * until it is handed over. It ends when all flights have landed, at its deadline, or when its session closes,
 * whichever is first; then it lets go of the blocks that it did not get, and their flights go on without it.
 */
export class SlowRead implements FlightWaiter, WaitingCall {
  readonly #state: SessionState;
  readonly #pins: Pins;
  readonly #namespace: number;
  readonly #rows: Uint32Array;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #misses: Misses | undefined;
  /** Block awaited by each miss, or -1. */
  #ids = new Int32Array(0);
  #flightsLeft = 0;
  #isDone = false;
  #deadlineAtMs = 0;
  #cancelDeadline = (): void => {};

  constructor(
    state: SessionState,
    pins: Pins,
    namespace: number,
    rows: Uint32Array,
    resolve: () => void,
    reject: (error: unknown) => void,
  ) {
    this.#state = state;
    this.#pins = pins;
    this.#namespace = namespace;
    this.#rows = rows;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Reads the `missing` keys whose rows say `miss`. */
  start(keys: Uint32Array, count: number, missing: number, deadlineMs: number): void {
    const { core } = this.#state;
    const positions = new Int32Array(missing);
    for (let i = 0, next = 0; i < count; i++) {
      if (this.#rows[i * READ_ROW_WORDS + READ_ROW.status] === ROW_STATUS.miss) positions[next++] = i;
    }
    const misses = gatherMisses(keys, positions, missing);
    this.#misses = misses;
    this.#ids = new Int32Array(missing).fill(NONE);
    this.#state.pendingPins += missing;
    this.#state.waiting.add(this);
    this.#deadlineAtMs = core.clock.nowMs() + deadlineMs;
    const waiting = locateMisses(core, this.#namespace, misses);
    if (waiting === undefined) {
      this.#board(misses);
      if (!this.#isDone) this.#watch(deadlineMs);
      return;
    }
    this.#watch(deadlineMs);
    waiting.then(
      () => this.#board(misses),
      (error) => {
        core.log.error('lookup of %d keys failed: %s', missing, error);
        if (!this.#isDone) this.#finish(ROW_STATUS.failed);
      },
    );
  }

  landed(): void {
    this.#flightsLeft--;
    if (!this.#isDone && this.#flightsLeft === 0) this.#finish(ROW_STATUS.miss);
  }

  /** The session closes: lets go of everything now and rejects. */
  cancel(): void {
    const { tier } = this.#state.core;
    this.#end();
    for (const id of this.#ids) if (id !== NONE) tier.unpin(id);
    this.#reject(new RefillError('ERR_NODE_CLOSED', 'the session was closed while the call waited'));
  }

  #watch(deadlineMs: number): void {
    this.#cancelDeadline = this.#state.core.clock.after(deadlineMs, () => this.#finish(ROW_STATUS.late));
  }

  /** Boards the flights of blocks on their way, and sends one off with those that nobody has asked for yet. */
  #board(misses: Misses): void {
    if (this.#isDone) return;
    const { tier, loads, counters, clock } = this.#state.core;
    const flight = loads.prepare(misses.count);
    const boarded: Flight[] = [];
    for (let i = 0; i < misses.count; i++) {
      let id = tier.find(this.#namespace, misses.keys, i * KEY_WORDS);
      if (id < 0 && misses.locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] !== 0) {
        id = loads.add(flight, this.#namespace, misses.keys, i, misses.locations, i);
        if (id < 0) this.#rows[misses.positions[i]! * READ_ROW_WORDS + READ_ROW.status] = ROW_STATUS.noRoom;
      } else if (id >= 0 && tier.columns.state[id] === BLOCK_STATE.loading) {
        counters.joins++;
      } else if (id < 0 || !tier.isReadable(id)) {
        continue;
      }
      if (id < 0) continue;
      tier.pin(id);
      this.#ids[i] = id;
      const its = loads.flightOf(id);
      if (its !== undefined && !boarded.includes(its)) boarded.push(its);
    }
    touchFound(this.#state.core, misses.locations, misses.count);
    for (const its of boarded) its.waiters.push(this);
    this.#flightsLeft = boarded.length;
    loads.depart(flight, Math.max(0, this.#deadlineAtMs - clock.nowMs()));
    if (boarded.length === 0) this.#finish(ROW_STATUS.miss);
  }

  #end(): void {
    this.#isDone = true;
    this.#cancelDeadline();
    this.#state.waiting.delete(this);
    this.#state.pendingPins -= this.#ids.length;
  }

  /** Hands over what is there. `otherwise` is the status of keys that no block was awaited for. */
  #finish(otherwise: number): void {
    const { tier, counters, loads } = this.#state.core;
    this.#end();
    for (let i = 0; i < this.#ids.length; i++) {
      const id = this.#ids[i]!;
      const index = this.#misses!.positions[i]!;
      const at = index * READ_ROW_WORDS + READ_ROW.status;
      if (id === NONE) {
        if (this.#rows[at] === ROW_STATUS.miss) this.#rows[at] = otherwise;
      } else if (tier.isReadable(id)) {
        this.#pins.add(id);
        fillHit(tier, id, this.#rows, index);
        countHit(counters, tier.columns.source[id]!, tier.columns.lengthBytes[id]!);
        continue;
      } else {
        const isLoading = loads.flightOf(id) !== undefined;
        this.#rows[at] = isLoading ? ROW_STATUS.late : tier.columns.outcome[id]!;
        tier.unpin(id);
      }
      countOutcome(counters, this.#rows[at]!);
    }
    this.#resolve();
  }
}
