import { KEY_WORDS, RefillError } from '@refill/interface';
import { checkDeadline, checkKeys } from './arguments.ts';
import { doneBy } from './deadline.ts';
import type { FillWaiter } from './fills.ts';
import { gatherMisses } from './find-misses.ts';
import { isInDram, markPresent } from './presence.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/**
 * Waits while somebody computes blocks: first for the clients of this node, then for those of others. A put on this
 * node wakes at once, whoever holds the lease.
 */
export async function awaitFill(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  deadlineMs: number,
): Promise<number> {
  checkOpen(state);
  checkKeys(keys, count);
  checkDeadline(deadlineMs);
  checkNamespace(state, namespace);
  const { core } = state;
  const deadlineAtMs = core.clock.nowMs() + deadlineMs;
  const own = keys.slice(0, count * KEY_WORDS);
  let isFree = false;
  while (!isFree && core.clock.nowMs() < deadlineAtMs) {
    const heldUntilMs = await waitHere(state, namespace, own, count, deadlineAtMs);
    if (!heldUntilMs) isFree = await waitElsewhere(state, namespace, own, count, deadlineAtMs);
  }
  const there = new Uint8Array(count);
  await markPresent(core, namespace, own, count, there);
  return there.reduce((sum, is) => sum + is, 0);
}

/** Waits once for leases of this node's clients; answers whether there were any. */
async function waitHere(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  deadlineAtMs: number,
): Promise<boolean> {
  const { fills } = state.core;
  let endsAtMs = deadlineAtMs;
  const held: number[] = [];
  for (let i = 0; i < count; i++) {
    const keyEndsAtMs = fills.endsAtMs(namespace, keys, i * KEY_WORDS);
    if (keyEndsAtMs === 0) continue;
    held.push(i);
    endsAtMs = Math.min(endsAtMs, keyEndsAtMs);
  }
  if (held.length === 0) return false;
  await watched(state, namespace, keys, held, endsAtMs, new Promise(() => {}));
  return true;
}

/** Waits for leases of other nodes; answers whether nobody holds a key any more, as far as this node knows. */
async function waitElsewhere(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  deadlineAtMs: number,
): Promise<boolean> {
  const { core } = state;
  if (core.cluster === undefined) return true;
  const missing: number[] = [];
  for (let i = 0; i < count; i++) if (!isInDram(core, namespace, keys, i)) missing.push(i);
  if (missing.length === 0) return true;
  const theirs = gatherMisses(keys, Int32Array.from(missing), missing.length).keys;
  const remainingMs = Math.max(0, deadlineAtMs - core.clock.nowMs());
  const asked = core.cluster.awaitFills(namespace, theirs, missing.length, remainingMs).catch((error) => {
    // Nobody else tells: the wait is over at the deadline, which is no error.
    if ((error as RefillError).code !== 'ERR_DEADLINE') throw error;
  });
  await watched(state, namespace, keys, missing, deadlineAtMs, asked);
  // A client of this node may have taken a key meanwhile.
  return missing.every((i) => core.fills.endsAtMs(namespace, keys, i * KEY_WORDS) === 0);
}

/** Waits until the keys at `positions` were ended in the table of this node, for `other`, or until `untilMs`. */
async function watched(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  positions: readonly number[],
  untilMs: number,
  other: Promise<unknown>,
): Promise<void> {
  const { fills, clock } = state.core;
  let waiter: FillWaiter | undefined;
  const call = { cancel: (): void => {} };
  state.waiting.add(call);
  try {
    const ended = new Promise<void>((resolve, reject) => {
      waiter = { remaining: 0, done: resolve };
      call.cancel = () =>
        reject(new RefillError('ERR_NODE_CLOSED', 'the session was closed while the call waited'));
    });
    for (const i of positions) fills.watch(namespace, keys, i * KEY_WORDS, waiter!);
    await doneBy(clock, untilMs, Promise.race([ended, other]));
  } finally {
    state.waiting.delete(call);
    for (const i of positions) fills.forget(namespace, keys, i * KEY_WORDS, waiter!);
  }
}
