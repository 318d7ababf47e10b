import { RefillError } from '@refill/interface';
import { checkDeadline } from './arguments.ts';
import { doneBy } from './deadline.ts';
import { checkOpen, type SessionState } from './session-state.ts';

/**
 * Settles when all that this node committed before is stored or has failed. Answers how many blocks are only in memory
 * because their store failed, also just now, plus how many were lost since this session last asked. Those of others
 * are included: a failed group holds blocks of many.
 */
export async function flush(state: SessionState, deadlineMs: number): Promise<number> {
  checkOpen(state);
  checkDeadline(deadlineMs);
  const { behind, clock, tier } = state.core;
  if (!(await doneBy(clock, clock.nowMs() + deadlineMs, behind.drain()))) {
    throw new RefillError(
      'ERR_DEADLINE',
      `${behind.backlogBytes} bytes were not stored within ${deadlineMs} ms`,
    );
  }
  const lost = behind.lost - state.lostSeen;
  state.lostSeen = behind.lost;
  return lost + tier.unstored;
}
