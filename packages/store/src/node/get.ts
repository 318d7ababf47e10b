import { ENTRY_NONE, READ_ROW, READ_ROW_WORDS, ROW_STATUS } from '@refill/interface';
import type { Pins } from '../arena/pins.ts';
import { checkDeadline, checkKeys, checkRows } from './arguments.ts';
import { fillHit } from './read-row.ts';
import { checkNamespace, checkOpen, checkPinRoom, type SessionState } from './session-state.ts';
import { SlowRead } from './slow-read.ts';

/** Ids of the call that runs: never held across an await, so one array serves every call. */
let idsOfCall = new Int32Array(256);
/** Directory entries of its hits, likewise. */
let entriesOfCall = new Uint32Array(256);

/**
 * The path of a read: DRAM by key; else the directory; else nothing. What the directory knows and DRAM does not is
 * loaded once however many ask, and pinned for each. All hits in DRAM: answered in the call, without a promise.
 */
export function get(
  state: SessionState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  deadlineMs: number,
  rows: Uint32Array,
): void | Promise<void> {
  checkRows('rows', rows, count, READ_ROW_WORDS);
  return read(state, state.pins, namespace, keys, count, deadlineMs, rows);
}

/** As `get`, into the bag `pins`; `pin` keeps what it reads in another one. */
export function read(
  state: SessionState,
  pins: Pins,
  namespace: number,
  keys: Uint32Array,
  count: number,
  deadlineMs: number,
  rows: Uint32Array,
): void | Promise<void> {
  const { core } = state;
  checkOpen(state);
  checkKeys(keys, count);
  checkDeadline(deadlineMs);
  checkNamespace(state, namespace);
  checkPinRoom(state, count);
  if (count === 0) return;
  const startedMs = core.clock.nowMs();
  if (idsOfCall.length < count) {
    idsOfCall = new Int32Array(count);
    entriesOfCall = new Uint32Array(count);
  }
  const ids = idsOfCall;
  core.tier.findMany(namespace, keys, count, ids);
  let [missing, touched] = [0, 0];
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    if (id >= 0 && core.tier.isReadable(id)) {
      core.tier.pin(id);
      pins.add(id);
      fillHit(core.tier, id, rows, i);
      bytes += core.tier.columns.lengthBytes[id]!;
      const entry = core.tier.columns.entry[id]!;
      if (entry !== ENTRY_NONE) entriesOfCall[touched++] = entry;
    } else {
      rows[i * READ_ROW_WORDS + READ_ROW.status] = ROW_STATUS.miss;
      missing++;
    }
  }
  // A hit in DRAM is a use for the shared tier too, so that its order of eviction survives a restart of this node.
  if (touched > 0) core.directory.touch(entriesOfCall, touched);
  core.counters.keys += count;
  core.counters.dram.hits += count - missing;
  core.counters.dram.bytes += bytes;
  // What DRAM had, also of a call that goes on to wait for the rest: that is another tier's time.
  if (missing < count) core.dramLatency.record(core.clock.nowMs() - startedMs);
  if (missing > 0) {
    return new Promise((resolve, reject) => {
      new SlowRead(state, pins, namespace, rows, resolve, reject).start(keys, count, missing, deadlineMs);
    });
  }
}
