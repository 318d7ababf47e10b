import { KEY_WORDS, LOCATION_ROW_WORDS } from '@refill/interface';
import { MESSAGE } from '../protocol/message.ts';
import { LOOKUP_KEYS } from './find-remote.ts';
import { madeAnew, type Persist } from './persist.ts';

/**
 * Where blocks are, as the service says it: not from the cache and not from a checkpoint. For who acts on a miss, as a
 * removal does. Waits for the service like a change: `ERR_METADATA_UNAVAILABLE` when it does not answer.
 */
export async function findCertain(
  persist: Persist,
  namespace: number,
  keys: Uint32Array,
  count: number,
  rows: Uint32Array,
): Promise<void> {
  for (let from = 0; from < count; from += LOOKUP_KEYS) {
    const length = Math.min(LOOKUP_KEYS, count - from);
    const part = keys.subarray(from * KEY_WORDS, (from + length) * KEY_WORDS);
    const { body, isVoid } = await persist.run(
      MESSAGE.lookup,
      (writer) => void writer.word(namespace).word(length).words(part),
      { rows: length, namesIndexes: true, capacity: 2 + part.length },
    );
    if (isVoid) throw madeAnew();
    rows.set(body.words(length * LOCATION_ROW_WORDS), from * LOCATION_ROW_WORDS);
  }
}
