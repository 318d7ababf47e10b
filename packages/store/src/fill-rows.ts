import {
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  PUT_ROW,
  PUT_ROW_WORDS,
  PUT_STATUS,
} from '@refill/interface';
import { ENTRY, ENTRY_WORDS } from './segment/segment-format.ts';
import {
  LOAD_ROW,
  LOAD_ROW_WORDS,
  LOAD_STATUS,
  SEGMENT_NONE,
  STORE_ROW,
  STORE_ROW_WORDS,
} from './shared-tier.ts';

/** Copies words; a loop, as `set(subarray())` would make an object a row. */
export function copyWords(
  from: Uint32Array,
  fromAt: number,
  to: Uint32Array,
  toAt: number,
  words: number,
): void {
  for (let word = 0; word < words; word++) to[toAt + word] = from[fromAt + word]!;
}

/** Fills `STORE_ROW` number `to` from row `index` of puts. */
export function fillStoreRow(
  rows: Uint32Array,
  to: number,
  namespace: number,
  puts: Uint32Array,
  index: number,
  buffer: number,
  bufferOffset: number,
): void {
  const row = to * STORE_ROW_WORDS;
  const put = index * PUT_ROW_WORDS;
  copyWords(puts, put + PUT_ROW.key, rows, row + STORE_ROW.key, KEY_WORDS);
  copyWords(puts, put + PUT_ROW.parent, rows, row + STORE_ROW.parent, KEY_WORDS);
  rows[row + STORE_ROW.namespace] = namespace;
  rows[row + STORE_ROW.lengthBytes] = puts[put + PUT_ROW.lengthBytes]!;
  rows[row + STORE_ROW.tokens] = puts[put + PUT_ROW.tokens]!;
  rows[row + STORE_ROW.family] = puts[put + PUT_ROW.family]!;
  rows[row + STORE_ROW.shard] = puts[put + PUT_ROW.shard]!;
  rows[row + STORE_ROW.buffer] = buffer;
  rows[row + STORE_ROW.bufferOffsetLo] = bufferOffset >>> 0;
  rows[row + STORE_ROW.bufferOffsetHi] = Math.floor(bufferOffset / 2 ** 32);
  rows[row + STORE_ROW.status] = PUT_STATUS.failed;
  rows[row + STORE_ROW.segment] = SEGMENT_NONE;
}

/** Fills `LOAD_ROW` number `to` from key `index` of `keys` and row `at` of `locations`. */
export function fillLoadRow(
  rows: Uint32Array,
  to: number,
  namespace: number,
  keys: Uint32Array,
  index: number,
  locations: Uint32Array,
  at: number,
  buffer: number,
  bufferOffset: number,
): void {
  const row = to * LOAD_ROW_WORDS;
  const location = at * LOCATION_ROW_WORDS;
  copyWords(keys, index * KEY_WORDS, rows, row + LOAD_ROW.key, KEY_WORDS);
  rows[row + LOAD_ROW.namespace] = namespace;
  rows[row + LOAD_ROW.segment] = locations[location + LOCATION_ROW.segment]!;
  rows[row + LOAD_ROW.offsetPages] = locations[location + LOCATION_ROW.offsetPages]!;
  rows[row + LOAD_ROW.lengthBytes] = locations[location + LOCATION_ROW.lengthBytes]!;
  rows[row + LOAD_ROW.storedBytes] = locations[location + LOCATION_ROW.storedBytes]!;
  rows[row + LOAD_ROW.checksumLo] = locations[location + LOCATION_ROW.checksumLo]!;
  rows[row + LOAD_ROW.checksumHi] = locations[location + LOCATION_ROW.checksumHi]!;
  rows[row + LOAD_ROW.flags] = locations[location + LOCATION_ROW.flags]!;
  rows[row + LOAD_ROW.buffer] = buffer;
  rows[row + LOAD_ROW.bufferOffsetLo] = bufferOffset >>> 0;
  rows[row + LOAD_ROW.bufferOffsetHi] = Math.floor(bufferOffset / 2 ** 32);
  rows[row + LOAD_ROW.status] = LOAD_STATUS.pending;
  rows[row + LOAD_ROW.holdersLo] = locations[location + LOCATION_ROW.holdersLo]!;
  rows[row + LOAD_ROW.holdersHi] = locations[location + LOCATION_ROW.holdersHi]!;
}

/** Fills `COMMIT_ROW` number `row` from entry `block` of a batch; key and parent lie alike in both. */
export function fillCommitRow(
  rows: Uint32Array,
  row: number,
  entries: Uint32Array,
  block: number,
  namespace: number,
  segment: number,
): void {
  const to = row * COMMIT_ROW_WORDS;
  const from = block * ENTRY_WORDS;
  copyWords(entries, from + ENTRY.key, rows, to + COMMIT_ROW.key, 2 * KEY_WORDS);
  rows[to + COMMIT_ROW.namespace] = namespace;
  rows[to + COMMIT_ROW.segment] = segment;
  rows[to + COMMIT_ROW.offsetPages] = entries[from + ENTRY.offsetPages]!;
  rows[to + COMMIT_ROW.lengthBytes] = entries[from + ENTRY.lengthBytes]!;
  rows[to + COMMIT_ROW.storedBytes] = entries[from + ENTRY.storedBytes]!;
  rows[to + COMMIT_ROW.checksumLo] = entries[from + ENTRY.checksumLo]!;
  rows[to + COMMIT_ROW.checksumHi] = entries[from + ENTRY.checksumHi]!;
  rows[to + COMMIT_ROW.tokens] = entries[from + ENTRY.tokens]!;
  rows[to + COMMIT_ROW.family] = entries[from + ENTRY.family]!;
  rows[to + COMMIT_ROW.shard] = entries[from + ENTRY.shard]!;
  rows[to + COMMIT_ROW.flags] = entries[from + ENTRY.flags]!;
}
