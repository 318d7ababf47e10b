import { hintsOf, KEY_WORDS, type PutHints, RefillError } from '@refill/interface';
import type { NodeCore } from './node-parts.ts';
import type { SessionState } from './session-state.ts';

/** Throws `ERR_INVALID_ARGUMENT` for hints that cannot be meant. */
export function checkHints(hints: PutHints | undefined, durability: string): PutHints | undefined {
  try {
    return hints && hintsOf({ ...hints, durability });
  } catch (cause) {
    throw new RefillError('ERR_INVALID_ARGUMENT', (cause as Error).message, { cause });
  }
}

/** Honours what hints say of a block that was just committed. Answers whether it is to be stored. */
export function honour(state: SessionState, id: number, hints: PutHints | undefined): boolean {
  const { core } = state;
  const { tier, expiry } = core;
  if (hints === undefined && expiry.size === 0) return true;
  const key = new Uint32Array(KEY_WORDS);
  tier.copyKey(id, key, 0);
  setLife(core, tier.namespaceOf(id), key, 0, hints);
  if (hints === undefined) return true;
  if (hints.pin === true) pinBlock(state, id);
  if (hints.tier === 'shared') tier.setLeaving(id);
  if (wantsOthers(hints)) tier.notes.setHints(tier.columns.note[id]!, hints);
  return hints.tier !== 'dram';
}

/** The life of a block that was put: none unless it was asked for, also where its key had one before. */
export function setLife(
  core: NodeCore,
  namespace: number,
  keys: Uint32Array,
  at: number,
  hints: PutHints | undefined,
): void {
  if (hints?.ttlMs === undefined) core.expiry.forget(namespace, keys, at);
  else core.expiry.set(namespace, keys, at, hints.ttlMs);
}

/** Whether other nodes shall have the blocks in DRAM. */
export function wantsOthers({ node, replicas = 1 }: PutHints): boolean {
  return node !== undefined || replicas > 1;
}

function pinBlock(state: SessionState, id: number): void {
  const { tier, options, hintCounters } = state.core;
  const held = state.pins.total + state.kept.total + state.pendingPins;
  if (held >= options.pinsPerSessionMax) {
    hintCounters.pinsRefused++;
    return;
  }
  tier.pin(id);
  state.kept.add(id);
  hintCounters.pinned++;
}

/** Ends the pins of a commit whose caller wants them no more. */
export function unpinSlots(state: SessionState, slots: Uint32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    const id = slots[i]!;
    if (state.kept.countOf(id) === 0) continue;
    state.kept.remove(id);
    state.core.tier.unpin(id);
  }
}
