import { KEY_WORDS, RefillError } from '@refill/interface';
import { BLOCK_FLAG_BITS, BLOCK_STATE } from '../arena/block-columns.ts';
import { checkDeadline, checkKeys } from './arguments.ts';
import { doneBy } from './deadline.ts';
import type { NodeCore } from './node-parts.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/**
 * Deletes from every tier. In order: out of DRAM, so that nobody finds them and write-behind lets those that wait go;
 * then the stores in flight are awaited, for a tombstone must come after what it buries; then the tombstones; then out
 * of DRAM once more, for a read may have fetched one meanwhile. A crash in between deletes some of them.
 */
export async function deleteBlocks(
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
  if (count === 0) return 0;
  const { clock, log } = state.core;
  for (let i = 0; i < count; i++) state.core.expiry.forget(namespace, keys, i * KEY_WORDS);
  // A copy: the work goes on past the deadline, the caller's array is lent only until then.
  const work = bury(state.core, namespace, keys.slice(0, count * KEY_WORDS), count);
  work.catch((error) => log.error('deletion of %d keys failed: %s', count, error));
  if (!(await doneBy(clock, clock.nowMs() + deadlineMs, work))) {
    throw new RefillError(
      'ERR_DEADLINE',
      `deletion of ${count} keys took longer than ${deadlineMs} ms; it goes on`,
    );
  }
  return work;
}

export interface BuryOptions {
  /** Waits for stores in flight in any case: the blocks were taken out of DRAM before, where that can be seen. */
  isAfterStores?: boolean;
  /** Which of the keys the directory shall forget; default all. */
  choose?: () => Promise<{ keys: Uint32Array; count: number }>;
}

export async function bury(
  core: NodeCore,
  namespace: number,
  keys: Uint32Array,
  count: number,
  { isAfterStores = false, choose }: BuryOptions = {},
): Promise<number> {
  core.deletions++;
  try {
    const { tier } = core;
    let onlyHere = 0;
    let isStoring = false;
    const storing: number[] = [];
    for (let i = 0; i < count; i++) {
      const id = tier.find(namespace, keys, i * KEY_WORDS);
      if (id < 0 || tier.columns.state[id] === BLOCK_STATE.reserved) continue;
      const flags = tier.columns.flags[id]!;
      if ((flags & BLOCK_FLAG_BITS.storing) !== 0) {
        isStoring = true;
        // Held, so that the outcome of its store can still be read afterwards.
        tier.borrow(id);
        storing.push(id);
      } else if (tier.isReadable(id) && (flags & BLOCK_FLAG_BITS.stored) === 0) {
        onlyHere++;
      }
      tier.drop(id);
    }
    if (isStoring || isAfterStores) await core.behind.landed();
    for (const id of storing) {
      if ((tier.columns.flags[id]! & BLOCK_FLAG_BITS.stored) === 0) onlyHere++;
      tier.giveBack(id);
    }
    const chosen = choose === undefined ? { keys, count } : await choose();
    const isAny = chosen.count > 0;
    const removed = isAny ? await core.sharedTier.remove(namespace, chosen.keys, chosen.count) : 0;
    if (isAny) core.nvme?.remove(namespace, chosen.keys, chosen.count);
    for (let i = 0; i < count; i++) {
      const id = tier.find(namespace, keys, i * KEY_WORDS);
      // What was put meanwhile is not what this call was to delete.
      const state = id < 0 ? BLOCK_STATE.reserved : tier.columns.state[id];
      if (state === BLOCK_STATE.clean || state === BLOCK_STATE.loading) tier.drop(id);
    }
    return removed + onlyHere;
  } finally {
    core.deletions++;
  }
}
