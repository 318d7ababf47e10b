import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import { fillLoadRow } from '../fill-rows.ts';
import { LOAD_ROW, LOAD_ROW_WORDS } from '../shared-tier.ts';
import type { ReadEstimate } from '../source/read-sources.ts';
import { gatherMisses, locateMisses } from './find-misses.ts';
import type { NodeCore } from './node-parts.ts';

/** A read of keys that is only thought about. */
export interface PlannedRead {
  /** Id of the block of each key that is readable in DRAM, else -1. */
  readonly ids: Int32Array;
  /** For each key its row in `rows` and in the estimate; -1 when it is in DRAM or nowhere. */
  readonly rowOf: Int32Array;
  /** `LOAD_ROW`s without a place, and the tokens of each. */
  readonly rows: Uint32Array;
  readonly lengths: Uint32Array;
  readonly tokens: Uint32Array;
  readonly estimate: ReadEstimate;
}

/**
 * Plans a read of keys as `get` would make it, by the same figures: what lookups, advice and `explain` are made of. A
 * block that is on its way into DRAM counts as no more bytes: those are in the queue of its source already.
 */
export function planRead(
  core: NodeCore,
  namespace: number,
  keys: Uint32Array,
  count: number,
): PlannedRead | Promise<PlannedRead> {
  const ids = new Int32Array(count);
  core.tier.findMany(namespace, keys, count, ids);
  const positions = new Int32Array(count);
  let missing = 0;
  for (let i = 0; i < count; i++) {
    if (ids[i]! >= 0 && core.tier.isReadable(ids[i]!)) continue;
    ids[i] = -1;
    positions[missing++] = i;
  }
  const misses = gatherMisses(keys, positions, missing);
  const rowOf = new Int32Array(count).fill(-1);
  const plan = (): PlannedRead => {
    const rows = new Uint32Array(missing * LOAD_ROW_WORDS);
    const [lengths, tokens] = [new Uint32Array(missing), new Uint32Array(missing)];
    let planned = 0;
    for (let i = 0; i < missing; i++) {
      const at = i * LOCATION_ROW_WORDS;
      if (misses.locations[at + LOCATION_ROW.found] === 0) continue;
      fillLoadRow(rows, planned, namespace, misses.keys, i, misses.locations, i, 0, 0);
      lengths[planned] = misses.locations[at + LOCATION_ROW.lengthBytes]!;
      tokens[planned] = misses.locations[at + LOCATION_ROW.tokens]!;
      const isOnItsWay = core.tier.find(namespace, misses.keys, i * KEY_WORDS) >= 0;
      if (isOnItsWay) rows[planned * LOAD_ROW_WORDS + LOAD_ROW.lengthBytes] = 0;
      rowOf[positions[i]!] = planned++;
    }
    return { ids, rowOf, rows, lengths, tokens, estimate: core.sources.plan(rows, planned) };
  };
  if (missing === 0) return plan();
  const waiting = locateMisses(core, namespace, misses);
  if (waiting === undefined) return plan();
  return waiting.then(() => {
    // Ids found before the wait may stand for other blocks by now.
    core.tier.findMany(namespace, keys, count, ids);
    for (let i = 0; i < count; i++) if (ids[i]! >= 0 && !core.tier.isReadable(ids[i]!)) ids[i] = -1;
    return plan();
  });
}
