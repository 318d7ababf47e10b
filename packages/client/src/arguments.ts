import {
  assertKey,
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  type BlockInfo,
  KEY_BYTES,
  KEYS_PER_CALL_MAX,
  type Key,
  LOCATE_NODES_MAX,
  PUT_ROW,
  PUT_ROW_WORDS,
  type PutOptions,
  REGION_ROW,
  REGION_ROW_WORDS,
  type RegionPlace,
} from '@refill/interface';

export type Keys = readonly Key[] | Uint8Array;

const U32_MAX = 0xffffffff;

/** Number of keys. Throws unless they are a list or packed, and at most 16,384. */
export function keyCount(keys: Keys): number {
  if (keys instanceof Uint8Array) {
    if (keys.length % KEY_BYTES !== 0) {
      throw new TypeError(
        `keys must be packed, ${KEY_BYTES} bytes each, got ${keys.length} bytes; a single key goes in a list: [key]`,
      );
    }
    return checkCount(keys.length / KEY_BYTES, 'keys');
  }
  if (!Array.isArray(keys)) {
    throw new TypeError(`keys must be a list of keys or a packed Uint8Array, got ${typeof keys}`);
  }
  return checkCount(keys.length, 'keys');
}

/** A list of at most 16,384 objects; answers how many. */
export function checkList(list: unknown, field: string): number {
  if (!Array.isArray(list))
    throw new TypeError(`${field} must be a list, got ${String(list)}; one goes in a list: [it]`);
  return checkCount(list.length, field);
}

function checkObject(value: unknown, field: string, shape: string): void {
  if (typeof value === 'object' && value !== null) return;
  throw new TypeError(`${field} must be an object ${shape}, got ${String(value)}`);
}

/** What `putMany` takes: blocks of any number, each with bytes of a block's length. */
export function checkPuts(blocks: unknown): void {
  if (!Array.isArray(blocks)) {
    throw new TypeError(
      `blocks must be a list of {key, bytes}, got ${String(blocks)}; a single block goes to put()`,
    );
  }
  for (const [i, block] of (blocks as { bytes?: unknown }[]).entries()) {
    checkObject(block, `blocks[${i}]`, '{key, bytes, ...}');
    checkBytes(block.bytes, `blocks[${i}].bytes`);
    checkLength(block.bytes.length, `blocks[${i}].bytes.length`);
  }
}

export function checkCount(count: number, field: string): number {
  if (count <= KEYS_PER_CALL_MAX) return count;
  throw new RangeError(
    `${field} has ${count} entries, at most ${KEYS_PER_CALL_MAX} go into one call; split it`,
  );
}

/** Copies keys into words of a frame, from word `at` on. */
export function writeKeys(words: Uint32Array, at: number, keys: Keys, count: number): void {
  const target = new Uint8Array(words.buffer, words.byteOffset + at * 4, count * KEY_BYTES);
  if (keys instanceof Uint8Array) {
    target.set(keys);
    return;
  }
  for (let i = 0; i < count; i++) {
    const key = keys[i];
    assertKey(key, `keys[${i}]`);
    target.set(key, i * KEY_BYTES);
  }
}

/** Writes the `PUT_ROW` of one block at word `at`, which must be zero there. */
export function writePutRow(
  words: Uint32Array,
  at: number,
  block: BlockInfo,
  lengthBytes: number,
  tokensPerBlock: number,
  field: string,
): void {
  checkObject(block, field, '{key, ...}');
  const bytes = new Uint8Array(words.buffer, words.byteOffset + at * 4, PUT_ROW_WORDS * 4);
  assertKey(block.key, `${field}.key`);
  bytes.set(block.key, PUT_ROW.key * 4);
  if (block.parent !== undefined) {
    assertKey(block.parent, `${field}.parent`);
    bytes.set(block.parent, PUT_ROW.parent * 4);
  }
  words[at + PUT_ROW.lengthBytes] = checkLength(lengthBytes, `${field}.lengthBytes`);
  words[at + PUT_ROW.tokens] = checkU32(block.tokens ?? tokensPerBlock, `${field}.tokens`);
  words[at + PUT_ROW.family] = checkU32(block.family ?? 0, `${field}.family`);
  words[at + PUT_ROW.shard] = checkU32(block.shard ?? 0, `${field}.shard`);
}

/** Writes the `REGION_ROW` of one place, which must lie within the region. */
export function writePlace(
  words: Uint32Array,
  at: number,
  place: RegionPlace,
  regionBytes: number,
  field: string,
): void {
  checkObject(place, field, '{offsetBytes, lengthBytes}');
  const { offsetBytes, lengthBytes } = place;
  if (!Number.isSafeInteger(offsetBytes) || offsetBytes < 0) {
    throw new RangeError(`${field}.offsetBytes must be a whole number from 0, got ${String(offsetBytes)}`);
  }
  checkU32(lengthBytes, `${field}.lengthBytes`);
  if (offsetBytes + lengthBytes > regionBytes) {
    throw new RangeError(
      `${field} ends at byte ${offsetBytes + lengthBytes}, the region has ${regionBytes}; give a place inside it`,
    );
  }
  words[at + REGION_ROW.offsetLo] = offsetBytes % 2 ** 32;
  words[at + REGION_ROW.offsetHi] = Math.floor(offsetBytes / 2 ** 32);
  words[at + REGION_ROW.lengthBytes] = lengthBytes;
}

/** Writes the places of many blocks from word `at` on. */
export function writePlaces(
  words: Uint32Array,
  at: number,
  places: readonly RegionPlace[],
  regionBytes: number,
  field: string,
): void {
  for (const [i, place] of places.entries()) {
    writePlace(words, at + i * REGION_ROW_WORDS, place, regionBytes, `${field}[${i}]`);
  }
}

export function checkLength(lengthBytes: number, field: string): number {
  if (Number.isInteger(lengthBytes) && lengthBytes >= BLOCK_BYTES_MIN && lengthBytes <= BLOCK_BYTES_MAX) {
    return lengthBytes;
  }
  throw new RangeError(
    `${field} must be a whole number from ${BLOCK_BYTES_MIN} to ${BLOCK_BYTES_MAX}, got ${String(lengthBytes)}; ` +
      'split larger blocks, leave empty ones out',
  );
}

export function checkBytes(bytes: unknown, field: string): asserts bytes is Uint8Array {
  if (bytes instanceof Uint8Array) return;
  throw new TypeError(`${field} must be a Uint8Array, got ${typeof bytes}; wrap other memory in one`);
}

/** Whether a put waits for the shared file system. Throws for a durability that there is not. */
export function isShared(options: PutOptions | undefined): boolean {
  const durability = options?.durability ?? 'memory';
  if (durability === 'shared') return true;
  if (durability === 'memory') return false;
  throw new TypeError(`durability must be 'memory' or 'shared', got ${JSON.stringify(durability)}`);
}

/** The most nodes that `locate` shall name, as it travels: 0 for the default. Throws `RangeError`. */
export function limitOf(options: { limit?: number } | undefined): number {
  const limit = options?.limit;
  if (limit === undefined) return 0;
  if (Number.isInteger(limit) && limit >= 1 && limit <= LOCATE_NODES_MAX) return limit;
  throw new RangeError(`limit must be a whole number from 1 to ${LOCATE_NODES_MAX}, got ${String(limit)}`);
}

function checkU32(value: number, field: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= U32_MAX) return value;
  throw new RangeError(`${field} must be a whole number from 0 to ${U32_MAX}, got ${String(value)}`);
}
