import {
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  PUT_ROW,
  PUT_ROW_WORDS,
  RESERVE_EXISTS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  RefillError,
} from '@refill/interface';
import { BLOCK_STATE } from '../arena/block-columns.ts';
import type { Pins } from '../arena/pins.ts';
import { copyWords } from '../fill-rows.ts';
import { checkPuts, checkRows } from './arguments.ts';
import { existsAs } from './await-stored.ts';
import { doneBy } from './deadline.ts';
import { checkTakesPuts } from './drain.ts';
import type { NodeCore } from './node-parts.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/** How often a deletion that has not begun yet is looked for. */
const BURIAL_POLL_MS = 20;

/**
 * First half of a put: takes the key and a slot for each block that is in no tier. When the arena is full of blocks
 * that are not stored yet, waits for write-behind. Nothing is visible before `commit`. Slots go into `bag`, also those
 * taken before a rejection: the session's, or one of a caller whose slots no client may name.
 */
export function reserve(
  state: SessionState,
  namespace: number,
  puts: Uint32Array,
  count: number,
  rows: Uint32Array,
  bag: Pins = state.reservations,
  isAfterBurial = false,
): void | Promise<void> {
  checkOpen(state);
  checkTakesPuts(state.core);
  checkPuts(puts, count);
  checkRows('rows', rows, count, RESERVE_ROW_WORDS);
  checkNamespace(state, namespace);
  checkReservationRoom(state, count);
  if (count === 0) return;
  const keys = keysOfPuts(puts, count);
  if (state.core.expiry.hidesAny && !isAfterBurial) {
    const buried = afterBurial(state.core, namespace, keys, count);
    if (buried !== undefined) {
      return buried.then(() => reserve(state, namespace, puts, count, rows, bag, true));
    }
  }
  const locations = new Uint32Array(count * LOCATION_ROW_WORDS);
  const waiting = state.core.directory.lookup(namespace, keys, count, locations);
  if (waiting !== undefined) {
    return waiting.then(() => {
      checkOpen(state);
      checkReservationRoom(state, count);
      return reserveFrom(state, namespace, puts, keys, locations, 0, count, rows, bag);
    });
  }
  return reserveFrom(state, namespace, puts, keys, locations, 0, count, rows, bag);
}

/** Waits, for a while, until blocks of these keys whose life has ended are deleted, so that a new put is the first. */
function afterBurial(
  core: NodeCore,
  namespace: number,
  keys: Uint32Array,
  count: number,
): Promise<void> | undefined {
  const { clock, expiry, options } = core;
  const hidesOne = (): boolean => {
    for (let i = 0; i < count; i++) if (expiry.isHidden(namespace, keys, i * KEY_WORDS)) return true;
    return false;
  };
  if (!hidesOne()) return undefined;
  const deadlineAtMs = clock.nowMs() + options.reserveWaitMs;
  const wait = async (): Promise<void> => {
    while (hidesOne() && clock.nowMs() < deadlineAtMs) {
      await doneBy(clock, deadlineAtMs, expiry.settled());
      if (hidesOne()) await new Promise<void>((resolve) => clock.after(BURIAL_POLL_MS, resolve));
    }
  };
  return wait();
}

/** Keys of put rows, packed as lookups take them. */
export function keysOfPuts(puts: Uint32Array, count: number): Uint32Array {
  const keys = new Uint32Array(count * KEY_WORDS);
  for (let i = 0; i < count; i++) {
    copyWords(puts, i * PUT_ROW_WORDS + PUT_ROW.key, keys, i * KEY_WORDS, KEY_WORDS);
  }
  return keys;
}

function checkReservationRoom(state: SessionState, count: number): void {
  const { reservationsPerSessionMax } = state.core.options;
  const held = state.reservations.total;
  if (held + count > reservationsPerSessionMax) {
    throw new RefillError(
      'ERR_LIMIT',
      `${count} reservations more would exceed ${reservationsPerSessionMax}, ${held} are held`,
      { fix: 'Commit or abort some first' },
    );
  }
}

function reserveFrom(
  state: SessionState,
  namespace: number,
  puts: Uint32Array,
  keys: Uint32Array,
  locations: Uint32Array,
  from: number,
  count: number,
  rows: Uint32Array,
  bag: Pins,
): void | Promise<void> {
  for (let i = from; i < count; i++) {
    const existing = existingAs(state, namespace, keys, locations, i);
    if (existing >= 0) {
      fillRow(rows, i, RESERVE_STATUS.exists, existing, 0, 0);
    } else if (!reserveOne(state, namespace, puts, keys, i, rows, bag)) {
      if (state.core.behind.backlogBytes > 0)
        return reserveLater(state, namespace, puts, keys, locations, i, count, rows, bag);
      fillRow(rows, i, RESERVE_STATUS.noRoom, 0, 0, 0);
    }
  }
}

/** Waits for stores to settle until block `from` fits or the wait is over, then goes on; later blocks wait no more. */
async function reserveLater(
  state: SessionState,
  namespace: number,
  puts: Uint32Array,
  keys: Uint32Array,
  locations: Uint32Array,
  from: number,
  count: number,
  rows: Uint32Array,
  bag: Pins,
): Promise<void> {
  const { behind, clock, options } = state.core;
  const deadlineAtMs = clock.nowMs() + options.reserveWaitMs;
  for (let i = from; i < count; i++) {
    for (;;) {
      if (state.isClosed)
        throw new RefillError('ERR_NODE_CLOSED', 'the session was closed while the call waited');
      const existing = existingAs(state, namespace, keys, locations, i);
      if (existing >= 0) {
        fillRow(rows, i, RESERVE_STATUS.exists, existing, 0, 0);
        break;
      }
      if (reserveOne(state, namespace, puts, keys, i, rows, bag)) break;
      behind.hurry();
      const mayWait = behind.backlogBytes > 0 && clock.nowMs() < deadlineAtMs;
      if (!mayWait || !(await doneBy(clock, deadlineAtMs, behind.progress()))) {
        fillRow(rows, i, RESERVE_STATUS.noRoom, 0, 0, 0);
        break;
      }
    }
  }
}

/** `RESERVE_EXISTS` of key `i`, or -1 when it can be reserved. */
function existingAs(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  locations: Uint32Array,
  i: number,
): number {
  const { tier } = state.core;
  if (locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] !== 0) return RESERVE_EXISTS.stored;
  const id = tier.find(namespace, keys, i * KEY_WORDS);
  return id < 0 ? -1 : existsAs(state.core, id);
}

function reserveOne(
  state: SessionState,
  namespace: number,
  puts: Uint32Array,
  keys: Uint32Array,
  index: number,
  rows: Uint32Array,
  bag: Pins,
): boolean {
  const { tier, behind, options } = state.core;
  const put = index * PUT_ROW_WORDS;
  const lengthBytes = puts[put + PUT_ROW.lengthBytes]!;
  const isOverBacklog =
    behind.backlogBytes > 0 && behind.backlogBytes + lengthBytes > options.backlogBytesMax;
  if (isOverBacklog) return false;
  const tokens = puts[put + PUT_ROW.tokens]!;
  const id = tier.take(namespace, keys, index * KEY_WORDS, lengthBytes, tokens, BLOCK_STATE.reserved);
  if (id < 0) return false;
  tier.columns.owner[id] = state.number;
  tier.columns.note[id] = tier.notes.add(puts, index);
  bag.add(id);
  const offset = tier.offsetOf(id);
  const pane = Math.floor(offset / tier.arena.paneBytes);
  fillRow(rows, index, RESERVE_STATUS.reserved, id, pane, offset - pane * tier.arena.paneBytes);
  return true;
}

function fillRow(
  rows: Uint32Array,
  index: number,
  status: number,
  slot: number,
  pane: number,
  offset: number,
): void {
  const at = index * RESERVE_ROW_WORDS;
  rows[at + RESERVE_ROW.status] = status;
  rows[at + RESERVE_ROW.slot] = slot;
  rows[at + RESERVE_ROW.pane] = pane;
  rows[at + RESERVE_ROW.offsetBytes] = offset;
}
