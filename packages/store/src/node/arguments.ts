import {
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  DEADLINE_MS_MAX,
  DURABILITY,
  KEY_WORDS,
  KEYS_PER_CALL_MAX,
  PUT_ROW,
  PUT_ROW_WORDS,
  REGION_ROW,
  REGION_ROW_WORDS,
  RefillError,
} from '@refill/interface';

function refuse(what: string): never {
  throw new RefillError('ERR_INVALID_ARGUMENT', what);
}

/** `count` keys, rows or handles a call. */
export function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 0 || count > KEYS_PER_CALL_MAX) {
    refuse(`count must be a whole number up to ${KEYS_PER_CALL_MAX}, got ${count}; split longer lists`);
  }
}

/** An array must hold `count` rows of `words`. */
export function checkRows(field: string, rows: ArrayLike<number>, count: number, words: number): void {
  if (rows.length < count * words) {
    refuse(`${field} must hold ${count * words} elements for a count of ${count}, got ${rows.length}`);
  }
}

export function checkKeys(keys: Uint32Array, count: number): void {
  checkCount(count);
  checkRows('keys', keys, count, KEY_WORDS);
}

export function checkDeadline(deadlineMs: number): void {
  if (!(deadlineMs >= 0 && deadlineMs <= DEADLINE_MS_MAX)) {
    refuse(`deadlineMs must be 0 to ${DEADLINE_MS_MAX}, got ${deadlineMs}`);
  }
}

export function checkDurability(durability: string): void {
  if (!Object.hasOwn(DURABILITY, durability)) {
    refuse(`durability must be 'memory' or 'shared', got ${JSON.stringify(durability)}`);
  }
}

/** Rows of puts: every length is that of a block. */
export function checkPuts(puts: Uint32Array, count: number): void {
  checkCount(count);
  checkRows('puts', puts, count, PUT_ROW_WORDS);
  for (let i = 0; i < count; i++) {
    const lengthBytes = puts[i * PUT_ROW_WORDS + PUT_ROW.lengthBytes]!;
    if (lengthBytes < BLOCK_BYTES_MIN || lengthBytes > BLOCK_BYTES_MAX) {
      refuse(
        `puts[${i}].lengthBytes must be ${BLOCK_BYTES_MIN} to ${BLOCK_BYTES_MAX}, got ${lengthBytes}; ` +
          'split larger blocks, leave empty ones out',
      );
    }
  }
}

/** Places in a region: every one lies inside it. */
export function checkPlaces(places: Uint32Array, count: number, regionBytes: number): void {
  checkRows('places', places, count, REGION_ROW_WORDS);
  for (let i = 0; i < count; i++) {
    const offset = placeOffset(places, i);
    const lengthBytes = places[i * REGION_ROW_WORDS + REGION_ROW.lengthBytes]!;
    if (offset + lengthBytes > regionBytes) {
      refuse(
        `places[${i}] must lie inside the region of ${regionBytes} bytes, got ${lengthBytes} bytes at ${offset}`,
      );
    }
  }
}

/** Offset of place `index` in its region, bytes. */
export function placeOffset(places: Uint32Array, index: number): number {
  const at = index * REGION_ROW_WORDS;
  return places[at + REGION_ROW.offsetHi]! * 2 ** 32 + places[at + REGION_ROW.offsetLo]!;
}
