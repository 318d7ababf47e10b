import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import { BLOCK_STATE } from '../arena/block-columns.ts';
import { checkKeys, checkRows } from './arguments.ts';
import type { NodeCore } from './node-parts.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/** Whether a get would find the block in DRAM, now or when its load lands. */
export function isInDram(core: NodeCore, namespace: number, keys: Uint32Array, index: number): boolean {
  const id = core.tier.find(namespace, keys, index * KEY_WORDS);
  return id >= 0 && (core.tier.isReadable(id) || core.tier.columns.state[id] === BLOCK_STATE.loading);
}

/** 1 for every key that is in DRAM or in the directory. */
export function exists(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  present: Uint8Array,
): void | Promise<void> {
  checkOpen(state);
  checkKeys(keys, count);
  checkRows('present', present, count, 1);
  checkNamespace(state, namespace);
  return markPresent(state.core, namespace, keys, count, present);
}

/** As `exists`, of arguments that were checked. */
export function markPresent(
  core: NodeCore,
  namespace: number,
  keys: Uint32Array,
  count: number,
  present: Uint8Array,
): void | Promise<void> {
  let missing = 0;
  for (let i = 0; i < count; i++) {
    present[i] = isInDram(core, namespace, keys, i) ? 1 : 0;
    missing += 1 - present[i]!;
  }
  if (missing === 0) return;
  const locations = new Uint32Array(count * LOCATION_ROW_WORDS);
  const mark = (): void => {
    for (let i = 0; i < count; i++) {
      if (locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] !== 0) present[i] = 1;
    }
  };
  const waiting = core.directory.lookup(namespace, keys, count, locations);
  if (waiting !== undefined) return waiting.then(mark);
  mark();
}

/** Length of the longest prefix in DRAM or the directory. Blocks only in DRAM are newest, so rarely in the middle. */
export function matchPrefix(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
): number | Promise<number> {
  checkOpen(state);
  checkKeys(keys, count);
  checkNamespace(state, namespace);
  if (count === 0) return 0;
  const { core } = state;
  const shared = core.directory.matchPrefix(namespace, keys, count);
  return typeof shared === 'number'
    ? extendPrefix(core, namespace, keys, count, shared)
    : shared.then((length) => extendPrefix(core, namespace, keys, count, length));
}

/** Goes on where the directory's prefix ends, if that block is in DRAM: looks each of the others up once. */
function extendPrefix(
  core: NodeCore,
  namespace: number,
  keys: Uint32Array,
  count: number,
  length: number,
): number | Promise<number> {
  if (length === count || !isInDram(core, namespace, keys, length)) return length;
  const rest = keys.subarray(length * KEY_WORDS, count * KEY_WORDS);
  const present = new Uint8Array(count - length);
  const end = (): number => {
    const gap = present.indexOf(0);
    return gap < 0 ? count : length + gap;
  };
  const waiting = markPresent(core, namespace, rest, count - length, present);
  return waiting === undefined ? end() : waiting.then(end);
}
