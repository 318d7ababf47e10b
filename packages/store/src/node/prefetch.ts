import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import { checkKeys } from './arguments.ts';
import { gatherMisses, locateMisses, type Misses } from './find-misses.ts';
import { touchFound } from './load-blocks.ts';
import type { NodeCore } from './node-parts.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

/** Sends off a flight with the blocks that are not in DRAM and not on their way; answers how many there are. */
export function prefetch(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
): number | Promise<number> {
  checkOpen(state);
  checkKeys(keys, count);
  checkNamespace(state, namespace);
  const { core } = state;
  const positions = new Int32Array(count);
  let missing = 0;
  for (let i = 0; i < count; i++) {
    if (core.tier.find(namespace, keys, i * KEY_WORDS) < 0) positions[missing++] = i;
  }
  if (missing === 0) return 0;
  const misses = gatherMisses(keys, positions, missing);
  const waiting = locateMisses(core, namespace, misses);
  return waiting === undefined
    ? sendOff(core, namespace, misses)
    : waiting.then(() => sendOff(core, namespace, misses));
}

function sendOff(core: NodeCore, namespace: number, misses: Misses): number {
  const flight = core.loads.prepare(misses.count);
  for (let i = 0; i < misses.count; i++) {
    if (misses.locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] === 0) continue;
    if (core.tier.find(namespace, misses.keys, i * KEY_WORDS) >= 0) continue;
    core.loads.add(flight, namespace, misses.keys, i, misses.locations, i);
  }
  touchFound(core, misses.locations, misses.count);
  core.loads.depart(flight, core.options.loadDeadlineMs);
  return flight.count;
}
