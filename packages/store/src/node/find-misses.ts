import { KEY_WORDS, LOCATION_ROW_WORDS } from '@refill/interface';
import type { NodeCore } from './node-parts.ts';

/** Keys that are not in DRAM, with where the directory says they are. */
export interface Misses {
  /** Position of each in the call. */
  readonly positions: Int32Array;
  readonly keys: Uint32Array;
  readonly locations: Uint32Array;
  readonly count: number;
}

/** Gathers the keys at `positions` for one lookup. */
export function gatherMisses(keys: Uint32Array, positions: Int32Array, count: number): Misses {
  const gathered = new Uint32Array(count * KEY_WORDS);
  for (let i = 0; i < count; i++) {
    const from = positions[i]! * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) gathered[i * KEY_WORDS + word] = keys[from + word]!;
  }
  return { positions, keys: gathered, locations: new Uint32Array(count * LOCATION_ROW_WORDS), count };
}

/**
 * Fills in the locations; answers a promise only when the directory has to wait. A deletion that began or ended
 * meanwhile may have taken what was found, so the lookup is made again then: a deleted block must not come back.
 */
export function locateMisses(core: NodeCore, namespace: number, misses: Misses): void | Promise<void> {
  const waiting = core.directory.lookup(namespace, misses.keys, misses.count, misses.locations);
  if (waiting !== undefined) return relocate(core, namespace, misses, waiting);
}

/** Whether one of the keys was deleted by another node after so many deletions were heard of. */
function isRemovedSince(core: NodeCore, namespace: number, misses: Misses, removals: number): boolean {
  const { removed } = core;
  if (core.removals === removals) return false;
  if (removed.since > removals) return true;
  for (let i = 0; i < misses.count; i++) {
    if (removed.isRemovedAfter(namespace, misses.keys, i * KEY_WORDS, removals)) return true;
  }
  return false;
}

async function relocate(
  core: NodeCore,
  namespace: number,
  misses: Misses,
  first: Promise<void>,
): Promise<void> {
  let waiting: void | Promise<void> = first;
  for (;;) {
    const { deletions, removals } = core;
    await waiting;
    if (core.deletions === deletions && !isRemovedSince(core, namespace, misses, removals)) return;
    misses.locations.fill(0);
    waiting = core.directory.lookup(namespace, misses.keys, misses.count, misses.locations);
    if (waiting === undefined) return;
  }
}
