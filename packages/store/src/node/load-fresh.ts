import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '../shared-tier.ts';
import type { NodeCore } from './node-parts.ts';

/**
 * Loads blocks; those that are gone (their segment was unlinked after the lookup, its live blocks were moved before)
 * are looked up once more and read from where they lie now. Still gone, or nowhere: a miss (rule R6).
 */
export async function loadFresh(
  core: NodeCore,
  rows: Uint32Array,
  count: number,
  deadlineMs: number,
): Promise<void> {
  const startedMs = core.clock.nowMs();
  await core.sources.load(rows, count, deadlineMs);
  let gone: number[] | undefined;
  for (let i = 0; i < count; i++) {
    if (rows[i * LOAD_ROW_WORDS + LOAD_ROW.status] !== LOAD_STATUS.gone) continue;
    gone ??= [];
    gone.push(i);
  }
  if (gone === undefined) return;
  const moved = await findMoved(core, rows, gone);
  if (moved.length === 0) return;
  const again = new Uint32Array(moved.length * LOAD_ROW_WORDS);
  for (const [to, i] of moved.entries()) {
    again.set(rows.subarray(i * LOAD_ROW_WORDS, (i + 1) * LOAD_ROW_WORDS), to * LOAD_ROW_WORDS);
    // Whatever happens to the second load, memory that it may be writing to is not taken for unused.
    rows[i * LOAD_ROW_WORDS + LOAD_ROW.status] = LOAD_STATUS.pending;
  }
  const remainingMs = Math.max(0, deadlineMs - (core.clock.nowMs() - startedMs));
  await core.sources.load(again, moved.length, remainingMs);
  for (const [from, i] of moved.entries()) {
    // Status and place: a hedged read may have taken another slot.
    rows.set(again.subarray(from * LOAD_ROW_WORDS, (from + 1) * LOAD_ROW_WORDS), i * LOAD_ROW_WORDS);
  }
}

/** Which of the rows `gone` lie elsewhere now; their rows get the new place. */
async function findMoved(core: NodeCore, rows: Uint32Array, gone: readonly number[]): Promise<number[]> {
  const moved: number[] = [];
  const keys = new Uint32Array(KEY_WORDS);
  const location = new Uint32Array(LOCATION_ROW_WORDS);
  for (const i of gone) {
    const row = i * LOAD_ROW_WORDS;
    keys.set(rows.subarray(row + LOAD_ROW.key, row + LOAD_ROW.key + KEY_WORDS));
    location.fill(0);
    try {
      await core.directory.lookup(rows[row + LOAD_ROW.namespace]!, keys, 1, location);
    } catch (error) {
      core.log.error('lookup of a block that is gone failed: %s', error);
      continue;
    }
    const isElsewhere =
      location[LOCATION_ROW.segment] !== rows[row + LOAD_ROW.segment] ||
      location[LOCATION_ROW.offsetPages] !== rows[row + LOAD_ROW.offsetPages];
    // Another length is another block: its key was deleted and put anew, and the room was made for the old one.
    const isSameLength = location[LOCATION_ROW.lengthBytes] === rows[row + LOAD_ROW.lengthBytes];
    if (location[LOCATION_ROW.found] === 0 || !isElsewhere || !isSameLength) continue;
    rows[row + LOAD_ROW.segment] = location[LOCATION_ROW.segment]!;
    rows[row + LOAD_ROW.offsetPages] = location[LOCATION_ROW.offsetPages]!;
    rows[row + LOAD_ROW.storedBytes] = location[LOCATION_ROW.storedBytes]!;
    rows[row + LOAD_ROW.checksumLo] = location[LOCATION_ROW.checksumLo]!;
    rows[row + LOAD_ROW.checksumHi] = location[LOCATION_ROW.checksumHi]!;
    rows[row + LOAD_ROW.flags] = location[LOCATION_ROW.flags]!;
    moved.push(i);
  }
  return moved;
}
