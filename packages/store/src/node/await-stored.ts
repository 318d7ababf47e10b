import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS, PUT_STATUS, RESERVE_EXISTS } from '@refill/interface';
import { BLOCK_STATE } from '../arena/block-columns.ts';
import { checkDeadline, checkKeys, checkRows } from './arguments.ts';
import { doneBy } from './deadline.ts';
import type { NodeCore } from './node-parts.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/** How often somebody else's reservation is looked at: its commit or abort tells nobody. */
const RESERVED_POLL_MS = 5;

/** Whether the block of an id is durable: `RESERVE_EXISTS`. */
export function existsAs(core: NodeCore, id: number): number {
  const state = core.tier.columns.state[id];
  const isUnstored =
    state === BLOCK_STATE.reserved || state === BLOCK_STATE.dirty || core.tier.isUnstored(id);
  return isUnstored ? RESERVE_EXISTS.unstored : RESERVE_EXISTS.stored;
}

/** Settles when each block is on the shared file system, or is not and will not be, or at the deadline. */
export function awaitStored(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  deadlineMs: number,
  statuses: Uint32Array,
): void | Promise<void> {
  checkOpen(state);
  checkKeys(keys, count);
  checkDeadline(deadlineMs);
  checkRows('statuses', statuses, count, 1);
  checkNamespace(state, namespace);
  if (count === 0) return;
  return wait(state, namespace, keys, count, state.core.clock.nowMs() + deadlineMs, statuses);
}

async function wait(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  deadlineAtMs: number,
  statuses: Uint32Array,
): Promise<void> {
  const { tier, behind, clock, directory } = state.core;
  for (let i = 0; i < count; i++) {
    const id = tier.find(namespace, keys, i * KEY_WORDS);
    // Put for memory only, or its store failed, and now somebody wants it durable.
    if (id >= 0 && tier.isUnstored(id)) behind.storeAfterAll(id);
  }
  for (;;) {
    let [underWay, reserved] = [false, false];
    for (let i = 0; i < count; i++) {
      const id = tier.find(namespace, keys, i * KEY_WORDS);
      const blockState = id < 0 ? BLOCK_STATE.free : tier.columns.state[id];
      if (blockState === BLOCK_STATE.dirty) underWay = true;
      else if (blockState === BLOCK_STATE.reserved) reserved = true;
    }
    if (!underWay && !reserved) break;
    if (underWay) behind.hurry();
    const nowMs = clock.nowMs();
    if (nowMs >= deadlineAtMs) break;
    const wakeMs = reserved ? Math.min(deadlineAtMs, nowMs + RESERVED_POLL_MS) : deadlineAtMs;
    await doneBy(clock, wakeMs, behind.progress());
    checkOpen(state);
  }
  const locations = new Uint32Array(count * LOCATION_ROW_WORDS);
  await directory.lookup(namespace, keys, count, locations);
  for (let i = 0; i < count; i++) {
    const id = tier.find(namespace, keys, i * KEY_WORDS);
    const blockState = id < 0 ? BLOCK_STATE.free : tier.columns.state[id];
    const isOnItsWay = blockState === BLOCK_STATE.dirty || blockState === BLOCK_STATE.reserved;
    const isStored = locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] !== 0;
    if (isStored) statuses[i] = PUT_STATUS.exists;
    else statuses[i] = isOnItsWay ? PUT_STATUS.late : PUT_STATUS.failed;
  }
}
