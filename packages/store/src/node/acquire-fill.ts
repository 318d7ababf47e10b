import {
  FILL_LIFE_MS_DEFAULT,
  FILL_LIFE_MS_MAX,
  FILL_ROW,
  FILL_ROW_WORDS,
  FILL_STATUS,
  type FillId,
  KEY_WORDS,
  RefillError,
} from '@refill/interface';
import { checkDeadline, checkKeys, checkRows } from './arguments.ts';
import { checkTakesPuts } from './drain.ts';
import { gatherMisses } from './find-misses.ts';
import { isInDram, markPresent } from './presence.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/** Acquisitions that one session may hold: more than it can have calls in flight. */
const FILLS_PER_SESSION_MAX = 16_384;

const { granted, held, present } = FILL_STATUS;

/**
 * Takes fill leases, in order: what is there is told; what a client of this node computes is told, and the rest taken,
 * in the table of this node; that rest is asked of the cluster, and what another node computes is given back. Each call
 * is a holder of its own, so two requests of one engine do not compute the same block.
 */
export async function acquireFill(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  lifeMs: number,
  deadlineMs: number,
  rows: Uint32Array,
): Promise<FillId> {
  checkOpen(state);
  checkKeys(keys, count);
  checkDeadline(deadlineMs);
  checkRows('rows', rows, count, FILL_ROW_WORDS);
  checkNamespace(state, namespace);
  if (!(lifeMs >= 0 && lifeMs <= FILL_LIFE_MS_MAX)) {
    throw new RefillError(
      'ERR_INVALID_ARGUMENT',
      `lifeMs must be 0 (the default) to ${FILL_LIFE_MS_MAX}, got ${lifeMs}`,
    );
  }
  const { core } = state;
  // Whoever holds one puts the block.
  checkTakesPuts(core);
  const deadlineAtMs = core.clock.nowMs() + deadlineMs;
  const life = lifeMs === 0 ? FILL_LIFE_MS_DEFAULT : lifeMs;
  checkRoom(state);
  const there = new Uint8Array(count);
  const waiting = markPresent(core, namespace, keys, count, there);
  if (waiting !== undefined) {
    await waiting;
    checkOpen(state);
  }
  const holder = core.fills.nextHolder();
  state.fills.add(holder);
  try {
    for (let i = 0; i < count; i++) {
      // Looked at once more: it may have been put during the lookup.
      const isThere = there[i] === 1 || isInDram(core, namespace, keys, i);
      const remainingMs = isThere ? 0 : core.fills.take(namespace, keys, i * KEY_WORDS, holder, life);
      rows[i * FILL_ROW_WORDS + FILL_ROW.status] = isThere ? present : remainingMs > 0 ? held : granted;
      rows[i * FILL_ROW_WORDS + FILL_ROW.remainingMs] = isThere ? 0 : remainingMs > 0 ? remainingMs : life;
    }
    const remainingMs = Math.max(0, deadlineAtMs - core.clock.nowMs());
    await askCluster(state, namespace, keys, count, holder, life, remainingMs, rows);
  } catch (error) {
    releaseFill(state, holder);
    throw error;
  }
  return holder;
}

/** Lets the cluster decide on what this node granted. */
async function askCluster(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  holder: number,
  lifeMs: number,
  deadlineMs: number,
  rows: Uint32Array,
): Promise<void> {
  const { cluster, fills } = state.core;
  const positions = new Int32Array(count);
  let asked = 0;
  for (let i = 0; i < count; i++) {
    if (rows[i * FILL_ROW_WORDS + FILL_ROW.status] === granted) positions[asked++] = i;
  }
  if (cluster === undefined || asked === 0) return;
  const own = gatherMisses(keys, positions, asked).keys;
  const answers = new Uint32Array(asked * FILL_ROW_WORDS);
  await cluster.acquireFills(namespace, own, asked, holder, lifeMs, answers, deadlineMs);
  if (state.isClosed) {
    // What `close` released was not taken yet.
    cluster.releaseFills(holder);
    throw new RefillError('ERR_NODE_CLOSED', 'the session was closed while the call waited');
  }
  for (let i = 0; i < asked; i++) {
    const to = positions[i]! * FILL_ROW_WORDS;
    const status = answers[i * FILL_ROW_WORDS + FILL_ROW.status]!;
    if (status === granted) {
      // It arrived here meanwhile: its lease has ended on this node, and the cluster hears of it.
      if (isInDram(state.core, namespace, own, i)) rows[to + FILL_ROW.status] = present;
      continue;
    }
    rows[to + FILL_ROW.status] = status;
    rows[to + FILL_ROW.remainingMs] = answers[i * FILL_ROW_WORDS + FILL_ROW.remainingMs]!;
    fills.give(namespace, own, i * KEY_WORDS, holder);
  }
}

/** Gives leases back, here and in the cluster. Nothing for a handle whose leases have ended or that is another's. */
export function releaseFill(state: SessionState, fill: FillId): void {
  if (!state.fills.delete(fill)) return;
  state.core.fills.release(fill);
  state.core.cluster?.releaseFills(fill);
}

/** Forgets handles whose leases have ended; refuses when there are too many others. */
function checkRoom(state: SessionState): void {
  if (state.fills.size < FILLS_PER_SESSION_MAX) return;
  for (const fill of state.fills) if (!state.core.fills.holds(fill)) state.fills.delete(fill);
  if (state.fills.size < FILLS_PER_SESSION_MAX) return;
  throw new RefillError('ERR_LIMIT', `this session holds ${state.fills.size} acquisitions of fill leases`, {
    fix: 'Release them when the blocks are put',
  });
}
