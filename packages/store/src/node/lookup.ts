import { LOOKUP_ROW, LOOKUP_ROW_WORDS, LOOKUP_TIER } from '@refill/interface';
import { checkKeys, checkRows } from './arguments.ts';
import type { NodeCore } from './node-parts.ts';
import { type PlannedRead, planRead } from './plan-read.ts';
import { checkNamespace, checkOpen, type SessionState } from './session-state.ts';

const READY_US_MAX = 0xffffffff;

/** Where each block is, and when it and those before it could be in DRAM: what loading a prefix costs. */
export function lookup(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  rows: Uint32Array,
): void | Promise<void> {
  checkOpen(state);
  checkKeys(keys, count);
  checkRows('rows', rows, count, LOOKUP_ROW_WORDS);
  checkNamespace(state, namespace);
  if (count === 0) return;
  const { core } = state;
  const planned = planRead(core, namespace, keys, count);
  if (!(planned instanceof Promise)) return fill(core, planned, count, rows);
  return planned.then((read) => fill(core, read, count, rows));
}

function fill(core: NodeCore, read: PlannedRead, count: number, rows: Uint32Array): void {
  const { ids, rowOf, lengths, tokens, estimate } = read;
  const { columns } = core.tier;
  let readyUs = 0;
  for (let i = 0; i < count; i++) {
    const at = i * LOOKUP_ROW_WORDS;
    const [id, row] = [ids[i]!, rowOf[i]!];
    let tier: number = LOOKUP_TIER.miss;
    let [lengthBytes, blockTokens] = [0, 0];
    if (id >= 0) {
      tier = LOOKUP_TIER.dram;
      [lengthBytes, blockTokens] = [columns.lengthBytes[id]!, columns.tokens[id]!];
    } else if (row >= 0 && estimate.sourceOf[row]! >= 0) {
      tier = LOOKUP_TIER[estimate.sources[estimate.sourceOf[row]!]!.tier];
      [lengthBytes, blockTokens] = [lengths[row]!, tokens[row]!];
      readyUs = Math.max(readyUs, Math.min(READY_US_MAX, Math.ceil(estimate.readyMs[row]! * 1000)));
    }
    rows[at + LOOKUP_ROW.tier] = tier;
    rows[at + LOOKUP_ROW.lengthBytes] = lengthBytes;
    rows[at + LOOKUP_ROW.tokens] = blockTokens;
    rows[at + LOOKUP_ROW.readyUs] = readyUs;
  }
}
