import { type Durability, PUT_STATUS, type PutHints, RefillError } from '@refill/interface';
import { checkCount, checkDeadline, checkDurability, checkRows } from './arguments.ts';
import { doneBy } from './deadline.ts';
import { checkHints, honour, unpinSlots } from './put-hints.ts';
import { checkOpen, type SessionState } from './session-state.ts';

/**
 * Second half of a put. Every slot becomes readable at once; `memory` leaves it to write-behind, `shared` stores now.
 * A crash in between loses what was promised to memory only. Slots are the caller's no more, whatever the outcome.
 */
export function commit(
  state: SessionState,
  slots: Uint32Array,
  count: number,
  durability: Durability,
  deadlineMs: number,
  statuses: Uint32Array,
  hints?: PutHints,
): void | Promise<void> {
  checkOpen(state);
  checkCount(count);
  checkRows('slots', slots, count, 1);
  checkRows('statuses', statuses, count, 1);
  checkDurability(durability);
  checkDeadline(deadlineMs);
  const checked = checkHints(hints, durability);
  takeReservations(state, slots, count);
  return commitTaken(state, slots, count, durability, deadlineMs, statuses, checked);
}

/** Takes reservations out of the session's bag, all or none: a slot named twice is not held the second time. */
function takeReservations(state: SessionState, slots: Uint32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    if (state.reservations.remove(slots[i]!)) continue;
    for (let back = 0; back < i; back++) state.reservations.add(slots[back]!);
    throw new RefillError(
      'ERR_HANDLE_UNKNOWN',
      `slots[${i}] is ${slots[i]}, which this session has not reserved`,
    );
  }
}

/** Commits blocks that are reserved and in nobody's bag. */
export function commitTaken(
  state: SessionState,
  slots: ArrayLike<number>,
  count: number,
  durability: Durability,
  deadlineMs: number,
  statuses: Uint32Array,
  hints: PutHints | undefined,
): void | Promise<void> {
  const { tier, behind, clock } = state.core;
  if (count === 0) return;
  for (let i = 0; i < count; i++) {
    tier.commit(slots[i]!);
    statuses[i] = PUT_STATUS.stored;
    const isToBeStored = honour(state, slots[i]!, hints);
    if (!isToBeStored) tier.keepInMemory(slots[i]!);
    else if (durability === 'memory') behind.add(slots[i]!);
  }
  if (durability === 'memory') return;
  // Outcomes go to an array of our own: the caller's may be gone when they come after the deadline.
  const outcomes = new Uint32Array(count).fill(PUT_STATUS.late);
  const ids = Int32Array.from(slots).subarray(0, count);
  const stored = behind.storeNow(ids, count, outcomes);
  const work = hints?.pin === true ? stored.then(() => unpinLost(state, ids, outcomes)) : stored;
  return doneBy(clock, clock.nowMs() + deadlineMs, work).then(() => {
    statuses.set(outcomes);
  });
}

/** Pins that hold what no key leads to any more: the store failed, or another node's block was first. */
function unpinLost(state: SessionState, ids: Int32Array, outcomes: Uint32Array): void {
  const lost = Uint32Array.from(ids.filter((_, i) => outcomes[i] !== PUT_STATUS.stored));
  unpinSlots(state, lost, lost.length);
}

/** Gives reservations back; what was written is forgotten. */
export function abort(state: SessionState, slots: Uint32Array, count: number): void {
  checkOpen(state);
  checkCount(count);
  checkRows('slots', slots, count, 1);
  takeReservations(state, slots, count);
  for (let i = 0; i < count; i++) state.core.tier.drop(slots[i]!);
}
