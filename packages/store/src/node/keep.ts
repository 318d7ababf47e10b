import {
  KEY_WORDS,
  LOCATION_ROW_WORDS,
  READ_ROW,
  READ_ROW_WORDS,
  RefillError,
  ROW_STATUS,
} from '@refill/interface';
import { checkCount, checkKeys, checkRows } from './arguments.ts';
import { read } from './get.ts';
import { touchFound } from './load-blocks.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/** Gives back pins handed out by reads, all or none. */
export function release(state: SessionState, slots: Uint32Array, count: number): void {
  checkOpen(state);
  checkCount(count);
  checkRows('slots', slots, count, 1);
  for (let i = 0; i < count; i++) {
    if (state.pins.remove(slots[i]!)) continue;
    for (let back = 0; back < i; back++) state.pins.add(slots[back]!);
    throw new RefillError(
      'ERR_HANDLE_UNKNOWN',
      `slots[${i}] is ${slots[i]}, which this session has not pinned so often`,
    );
  }
  for (let i = 0; i < count; i++) state.core.tier.unpin(slots[i]!);
}

/** Reads blocks into DRAM and keeps them there; answers how many of `keys` are kept. */
export function pin(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  deadlineMs: number,
): number | Promise<number> {
  checkCount(count);
  const rows = new Uint32Array(count * READ_ROW_WORDS);
  const hits = (): number => {
    let found = 0;
    for (let i = 0; i < count; i++)
      if (rows[i * READ_ROW_WORDS + READ_ROW.status] === ROW_STATUS.hit) found++;
    return found;
  };
  const waiting = read(state, state.kept, namespace, keys, count, deadlineMs, rows);
  return waiting === undefined ? hits() : waiting.then(hits);
}

/** Ends what `pin` began, once a key; answers how many were kept. */
export function unpin(state: SessionState, namespace: number, keys: Uint32Array, count: number): number {
  checkOpen(state);
  checkKeys(keys, count);
  checkNamespace(state, namespace);
  let unpinned = 0;
  for (let i = 0; i < count; i++) {
    const id = keptId(state, namespace, keys, i);
    if (id < 0) continue;
    state.kept.remove(id);
    state.core.tier.unpin(id);
    unpinned++;
  }
  return unpinned;
}

/** The kept block of a key: usually the one that the key leads to, else one that was deleted since. */
function keptId(state: SessionState, namespace: number, keys: Uint32Array, index: number): number {
  const { tier } = state.core;
  const linked = tier.find(namespace, keys, index * KEY_WORDS);
  if (linked >= 0 && state.kept.countOf(linked) > 0) return linked;
  const words = new Uint32Array(KEY_WORDS);
  let found = -1;
  state.kept.forEach((id) => {
    if (found >= 0 || tier.isLinked(id) || tier.namespaceOf(id) !== namespace) return;
    tier.copyKey(id, words, 0);
    if (words.every((word, at) => word === keys[index * KEY_WORDS + at])) found = id;
  });
  return found;
}

/** Notes a use of blocks, in DRAM and in the directory. */
export function touch(state: SessionState, namespace: number, keys: Uint32Array, count: number): void {
  checkOpen(state);
  checkKeys(keys, count);
  checkNamespace(state, namespace);
  const { core } = state;
  for (let i = 0; i < count; i++) {
    const id = core.tier.find(namespace, keys, i * KEY_WORDS);
    if (id >= 0) core.tier.touch(id);
  }
  const locations = new Uint32Array(count * LOCATION_ROW_WORDS);
  // A lookup that has to wait is of blocks beyond the index in memory, which have no entry to touch.
  const waiting = core.directory.lookup(namespace, keys, count, locations);
  if (waiting === undefined) touchFound(core, locations, count);
  else waiting.catch((error) => core.log.error('lookup for a touch failed: %s', error));
}
