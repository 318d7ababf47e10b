import {
  type Durability,
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  PUT_ROW,
  PUT_ROW_WORDS,
  PUT_STATUS,
  type PutHints,
  REGION_ROW,
  REGION_ROW_WORDS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  RefillError,
  type RegionId,
} from '@refill/interface';
import { COPY_LATE, CopyOut } from '../arena/copy.ts';
import { isDirectPlace } from '../arena/direct-io.ts';
import { Pins } from '../arena/pins.ts';
import type { Region } from '../arena/regions.ts';
import { fillStoreRow } from '../fill-rows.ts';
import { STORE_ROW, STORE_ROW_WORDS } from '../shared-tier.ts';
import {
  checkDeadline,
  checkDurability,
  checkPlaces,
  checkPuts,
  checkRows,
  placeOffset,
} from './arguments.ts';
import { awaitStored } from './await-stored.ts';
import { commitTaken } from './commit.ts';
import { checkTakesPuts } from './drain.ts';
import { checkHints, setLife, wantsOthers } from './put-hints.ts';
import { keysOfPuts, reserve } from './reserve.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/**
 * Puts from a client's own memory. `shared`: written from there without a copy, if the place suits direct I/O.
 * `memory`, and places that do not suit: copied into reserved slots, which are committed. A write straight from the
 * region is awaited past the deadline: settling earlier would let the client change bytes that are being written.
 */
export function putFrom(
  state: SessionState,
  namespace: number,
  regionId: RegionId,
  puts: Uint32Array,
  places: Uint32Array,
  count: number,
  durability: Durability,
  deadlineMs: number,
  statuses: Uint32Array,
  hints?: PutHints,
): void | Promise<void> {
  checkOpen(state);
  checkTakesPuts(state.core);
  checkPuts(puts, count);
  checkRows('statuses', statuses, count, 1);
  checkDurability(durability);
  checkDeadline(deadlineMs);
  checkNamespace(state, namespace);
  const region = state.core.regions.get(state.number, regionId);
  checkPlaces(places, count, region.sizeBytes);
  const checked = checkHints(hints, durability);
  const direct: number[] = [];
  const copied: number[] = [];
  for (let i = 0; i < count; i++) {
    const lengthBytes = puts[i * PUT_ROW_WORDS + PUT_ROW.lengthBytes]!;
    const room = places[i * REGION_ROW_WORDS + REGION_ROW.lengthBytes]!;
    if (room < lengthBytes) {
      throw new RefillError(
        'ERR_INVALID_ARGUMENT',
        `places[${i}].lengthBytes must be at least puts[${i}].lengthBytes, ${lengthBytes}, got ${room}`,
      );
    }
    // A block that is to be pinned has to be in DRAM.
    const mayBeDirect = durability === 'shared' && checked?.pin !== true;
    if (mayBeDirect && isDirectPlace(places, i, lengthBytes)) direct.push(i);
    else copied.push(i);
  }
  if (count === 0) return;
  const ways = { direct, copied };
  return run(state, namespace, region, puts, places, ways, durability, deadlineMs, statuses, checked);
}

async function run(
  state: SessionState,
  namespace: number,
  region: Region,
  puts: Uint32Array,
  places: Uint32Array,
  { direct, copied }: { direct: readonly number[]; copied: readonly number[] },
  durability: Durability,
  deadlineMs: number,
  statuses: Uint32Array,
  hints: PutHints | undefined,
): Promise<void> {
  const { regions, clock } = state.core;
  const deadlineAtMs = clock.nowMs() + deadlineMs;
  regions.begin(region);
  try {
    // Both settle before the region is let go, also when one of them fails.
    const ways = await Promise.allSettled([
      writeDirect(state, namespace, region, puts, places, direct, statuses, hints),
      copyIn(state, namespace, region, puts, places, copied, durability, deadlineAtMs, statuses, hints),
    ]);
    for (const way of ways) if (way.status === 'rejected') throw way.reason;
    if (durability === 'shared') {
      await awaitExisting(state, namespace, puts, direct.length + copied.length, deadlineAtMs, statuses);
    }
  } finally {
    regions.end(region);
  }
}

/** Whose put came first may not be durable yet, which was asked for. */
async function awaitExisting(
  state: SessionState,
  namespace: number,
  puts: Uint32Array,
  count: number,
  deadlineAtMs: number,
  statuses: Uint32Array,
): Promise<void> {
  const existing: number[] = [];
  for (let i = 0; i < count; i++) if (statuses[i] === PUT_STATUS.exists) existing.push(i);
  if (existing.length === 0) return;
  const keys = keysOfPuts(gatherPuts(puts, existing), existing.length);
  const outcomes = new Uint32Array(existing.length);
  const remainingMs = Math.max(0, deadlineAtMs - state.core.clock.nowMs());
  await awaitStored(state, namespace, keys, existing.length, remainingMs, outcomes);
  for (const [i, position] of existing.entries()) statuses[position] = outcomes[i]!;
}

async function writeDirect(
  state: SessionState,
  namespace: number,
  region: Region,
  puts: Uint32Array,
  places: Uint32Array,
  direct: readonly number[],
  statuses: Uint32Array,
  hints: PutHints | undefined,
): Promise<void> {
  if (direct.length === 0) return;
  const { core } = state;
  const own = gatherPuts(puts, direct);
  const keys = keysOfPuts(own, direct.length);
  const locations = new Uint32Array(direct.length * LOCATION_ROW_WORDS);
  const waiting = core.directory.lookup(namespace, keys, direct.length, locations);
  if (waiting !== undefined) await waiting;
  checkOpen(state);
  const rows = new Uint32Array(direct.length * STORE_ROW_WORDS);
  const ids: number[] = [];
  const positions: number[] = [];
  for (let i = 0; i < direct.length; i++) {
    const isFound = locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] !== 0;
    if (isFound || core.tier.find(namespace, keys, i * KEY_WORDS) >= 0) {
      statuses[direct[i]!] = PUT_STATUS.exists;
      continue;
    }
    fillStoreRow(rows, ids.length, namespace, own, i, region.buffer, placeOffset(places, direct[i]!));
    ids.push(core.tier.takeKey(namespace, keys, i * KEY_WORDS));
    positions.push(direct[i]!);
  }
  if (ids.length === 0) return;
  await core.sharedTier.store(rows, ids.length, { behind: false }).catch((error) => {
    core.log.error('store of %d blocks from a region failed: %s', ids.length, error);
  });
  for (let i = 0; i < ids.length; i++) {
    statuses[positions[i]!] = rows[i * STORE_ROW_WORDS + STORE_ROW.status]!;
    core.tier.drop(ids[i]!);
    const isThere =
      statuses[positions[i]!] === PUT_STATUS.stored || statuses[positions[i]!] === PUT_STATUS.exists;
    // It never was in DRAM, which would have told.
    if (isThere) core.fills.arrived(namespace, rows, i * STORE_ROW_WORDS + STORE_ROW.key);
    if (statuses[positions[i]!] !== PUT_STATUS.stored) continue;
    setLife(core, namespace, rows, i * STORE_ROW_WORDS + STORE_ROW.key, hints);
    if (hints !== undefined && wantsOthers(hints)) {
      core.placement.storedKey(namespace, rows, i * STORE_ROW_WORDS + STORE_ROW.key, hints);
    }
  }
  core.placement.send();
}

async function copyIn(
  state: SessionState,
  namespace: number,
  region: Region,
  puts: Uint32Array,
  places: Uint32Array,
  copied: readonly number[],
  durability: Durability,
  deadlineAtMs: number,
  statuses: Uint32Array,
  hints: PutHints | undefined,
): Promise<void> {
  if (copied.length === 0) return;
  const { tier, clock, regions } = state.core;
  const remainingMs = (): number => Math.max(0, deadlineAtMs - clock.nowMs());
  const rows = new Uint32Array(copied.length * RESERVE_ROW_WORDS);
  // In a bag of our own: neither the session's client, which can guess slots, nor its end can take one from under the
  // copy.
  const taken = new Pins();
  try {
    await reserve(state, namespace, gatherPuts(puts, copied), copied.length, rows, taken);
    checkOpen(state);
  } catch (error) {
    taken.forEach((id) => {
      tier.drop(id);
    });
    throw error;
  }
  const out = new CopyOut();
  for (let i = 0; i < copied.length; i++) {
    const status = rows[i * RESERVE_ROW_WORDS + RESERVE_ROW.status]!;
    statuses[copied[i]!] = status === RESERVE_STATUS.exists ? PUT_STATUS.exists : PUT_STATUS.noRoom;
    if (status !== RESERVE_STATUS.reserved) continue;
    const id = rows[i * RESERVE_ROW_WORDS + RESERVE_ROW.slot]!;
    tier.borrow(id);
    out.ids.push(id);
    out.positions.push(copied[i]!);
    out.copies.add(
      region.buffer,
      placeOffset(places, copied[i]!),
      0,
      tier.offsetOf(id),
      tier.columns.lengthBytes[id]!,
    );
  }
  await out.copies.run(state.core, remainingMs());
  const ready: number[] = [];
  const positions: number[] = [];
  for (let i = 0; i < out.ids.length; i++) {
    const id = out.ids[i]!;
    if (out.copies.results[i] === COPY_LATE) {
      // Slot and region are both in use until the kernel lets go of the slot.
      statuses[out.positions[i]!] = PUT_STATUS.failed;
      regions.begin(region);
      tier.quarantine(id, () => regions.end(region));
      continue;
    }
    if (state.isClosed || !out.copies.isDone(i)) {
      statuses[out.positions[i]!] = PUT_STATUS.failed;
      tier.drop(id);
    } else {
      ready.push(id);
      positions.push(out.positions[i]!);
    }
    tier.giveBack(id);
  }
  checkOpen(state);
  const outcomes = new Uint32Array(ready.length);
  await commitTaken(state, ready, ready.length, durability, remainingMs(), outcomes, hints);
  for (let i = 0; i < ready.length; i++) statuses[positions[i]!] = outcomes[i]!;
}

/** The put rows at `positions`, packed. */
function gatherPuts(puts: Uint32Array, positions: readonly number[]): Uint32Array {
  const gathered = new Uint32Array(positions.length * PUT_ROW_WORDS);
  for (let i = 0; i < positions.length; i++) {
    const from = positions[i]! * PUT_ROW_WORDS;
    gathered.set(puts.subarray(from, from + PUT_ROW_WORDS), i * PUT_ROW_WORDS);
  }
  return gathered;
}
