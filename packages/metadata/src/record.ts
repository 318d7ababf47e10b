import type { Fingerprint, NamespacePolicy, SegmentState } from '@refill/interface';
import { COMMIT_ROW, COMMIT_ROW_WORDS, fingerprintBytes, KEY_WORDS, RefillError } from '@refill/interface';
import { hasParent } from './block-index.ts';

/** Version of all records of the engine. Readers refuse others; bytes said to be zero are for the next version. */
export const RECORD_VERSION = 1;

/** First byte of a key: its key space. Numbers in keys are big-endian, so that they sort. */
export const SPACE = {
  block: 0x62,
  epoch: 0x65,
  format: 0x66,
  checkpoint: 0x6b,
  namespace: 0x6e,
  segment: 0x73,
} as const;

export const FORMAT_KEY: Uint8Array = Uint8Array.of(SPACE.format);
export const CHECKPOINT_KEY: Uint8Array = Uint8Array.of(SPACE.checkpoint);

/** All keys of one space. */
export function spaceRange(space: number): { gte: Uint8Array; lt: Uint8Array } {
  return { gte: Uint8Array.of(space), lt: Uint8Array.of(space + 1) };
}

/** `'b' 0 namespace(2, big-endian) key(32)`: 36 bytes, whole words. */
export const BLOCK_KEY_BYTES = 36;

/** `version(1) flags(1) 0(2)`, nine words of a location, and the parent's key unless the block is a root. */
export const BLOCK_VALUE_BYTES = 40;
export const BLOCK_VALUE_CHILD_BYTES: number = BLOCK_VALUE_BYTES + 32;

const LOCATION_COLUMNS = [
  COMMIT_ROW.segment,
  COMMIT_ROW.offsetPages,
  COMMIT_ROW.lengthBytes,
  COMMIT_ROW.storedBytes,
  COMMIT_ROW.checksumLo,
  COMMIT_ROW.checksumHi,
  COMMIT_ROW.tokens,
  COMMIT_ROW.family,
  COMMIT_ROW.shard,
] as const;

/** Encodes records of blocks into one buffer, two views a block. The hosts we run on are little-endian. */
export class BlockRecordWriter {
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(blocks: number) {
    this.#words = new Uint32Array((blocks * (BLOCK_KEY_BYTES + BLOCK_VALUE_CHILD_BYTES)) / 4);
    this.#bytes = new Uint8Array(this.#words.buffer);
  }

  key(namespace: number, keys: Uint32Array, wordOffset: number): Uint8Array {
    return this.#take(encodeKey(this.#words, this.#at, namespace, keys, wordOffset));
  }

  value(rows: Uint32Array, at: number): Uint8Array {
    return this.#take(encodeValue(this.#words, this.#at, rows, at));
  }

  #take(words: number): Uint8Array {
    const from = this.#at * 4;
    this.#at += words;
    return this.#bytes.subarray(from, this.#at * 4);
  }
}

/** One record whose views are made once. */
export class BlockRecordSlot {
  readonly #words = new Uint32Array((BLOCK_KEY_BYTES + BLOCK_VALUE_CHILD_BYTES) / 4);
  readonly key: Uint8Array = new Uint8Array(this.#words.buffer, 0, BLOCK_KEY_BYTES);
  readonly #root = new Uint8Array(this.#words.buffer, BLOCK_KEY_BYTES, BLOCK_VALUE_BYTES);
  readonly #child = new Uint8Array(this.#words.buffer, BLOCK_KEY_BYTES, BLOCK_VALUE_CHILD_BYTES);

  /** Encodes the block of a commit row; its key is in `key`, its value is returned. */
  fill(namespace: number, rows: Uint32Array, at: number): Uint8Array {
    const keyWords = encodeKey(this.#words, 0, namespace, rows, at + COMMIT_ROW.key);
    const valueWords = encodeValue(this.#words, keyWords, rows, at);
    return valueWords * 4 === BLOCK_VALUE_BYTES ? this.#root : this.#child;
  }
}

/** Writes the key of a block to `words[to ..]` and returns its length in words. */
function encodeKey(words: Uint32Array, to: number, namespace: number, keys: Uint32Array, at: number): number {
  words[to] = SPACE.block | ((namespace >>> 8) << 16) | ((namespace & 0xff) << 24);
  for (let word = 0; word < KEY_WORDS; word++) words[to + 1 + word] = keys[at + word]!;
  return BLOCK_KEY_BYTES / 4;
}

/** Writes the value of a block to `words[to ..]` and returns its length in words. */
function encodeValue(words: Uint32Array, to: number, rows: Uint32Array, at: number): number {
  words[to] = RECORD_VERSION | (rows[at + COMMIT_ROW.flags]! << 8);
  for (let i = 0; i < LOCATION_COLUMNS.length; i++) words[to + 1 + i] = rows[at + LOCATION_COLUMNS[i]!]!;
  if (!hasParent(rows, at)) return BLOCK_VALUE_BYTES / 4;
  const parent = to + BLOCK_VALUE_BYTES / 4;
  for (let word = 0; word < KEY_WORDS; word++) words[parent + word] = rows[at + COMMIT_ROW.parent + word]!;
  return BLOCK_VALUE_CHILD_BYTES / 4;
}

const scratch = new Uint32Array(BLOCK_VALUE_CHILD_BYTES / 4);
const scratchBytes = new Uint8Array(scratch.buffer);

/** Fills a commit row from a record; false when the record is not one of this version. */
export function decodeBlock(key: Uint8Array, value: Uint8Array, rows: Uint32Array, at: number): boolean {
  const whole = value.length === BLOCK_VALUE_CHILD_BYTES || value.length === BLOCK_VALUE_BYTES;
  if (!whole || value[0] !== RECORD_VERSION || key.length !== BLOCK_KEY_BYTES) return false;
  rows.fill(0, at, at + COMMIT_ROW_WORDS);
  scratchBytes.set(key);
  rows[at + COMMIT_ROW.namespace] = (key[2]! << 8) | key[3]!;
  for (let word = 0; word < KEY_WORDS; word++) rows[at + COMMIT_ROW.key + word] = scratch[1 + word]!;
  scratchBytes.set(value);
  rows[at + COMMIT_ROW.flags] = value[1]!;
  for (let i = 0; i < LOCATION_COLUMNS.length; i++) rows[at + LOCATION_COLUMNS[i]!] = scratch[1 + i]!;
  if (value.length === BLOCK_VALUE_BYTES) return true;
  for (let word = 0; word < KEY_WORDS; word++) {
    rows[at + COMMIT_ROW.parent + word] = scratch[BLOCK_VALUE_BYTES / 4 + word]!;
  }
  return true;
}

export function epochKey(node: string): Uint8Array {
  return Buffer.from(`e${node}`);
}

export function nodeOfEpochKey(key: Uint8Array): string {
  return Buffer.from(key.subarray(1)).toString();
}

/** Small records are JSON with a version: they are read by people more often than by machines. */
export function encodeSmall(fields: object): Uint8Array {
  return Buffer.from(JSON.stringify({ version: RECORD_VERSION, ...fields }));
}

export function decodeSmall<T>(value: Uint8Array, what: string): T {
  const fields = JSON.parse(Buffer.from(value).toString()) as T & { version: number };
  if (fields.version === RECORD_VERSION) return fields;
  throw new RefillError(
    'ERR_ROOT_TOO_NEW',
    `${what} has version ${fields.version}, this version reads ${RECORD_VERSION}`,
    {
      fix: 'Use the version of Refill that wrote it, or a later one',
    },
  );
}

export function namespaceKey(index: number): Uint8Array {
  return Uint8Array.of(SPACE.namespace, index >>> 8, index & 0xff);
}

export interface NamespaceFields {
  index: number;
  fingerprint: Required<Fingerprint>;
  policy: NamespacePolicy;
}

/** Throws `TypeError` where the fingerprint is not valid or too long. */
export function encodeNamespace({ index, fingerprint, policy }: NamespaceFields): Uint8Array {
  return encodeSmall({
    index,
    fingerprint: JSON.parse(Buffer.from(fingerprintBytes(fingerprint)).toString()),
    policy,
  });
}

export function segmentKey(index: number): Uint8Array {
  return Uint8Array.of(
    SPACE.segment,
    index >>> 24,
    (index >>> 16) & 0xff,
    (index >>> 8) & 0xff,
    index & 0xff,
  );
}

export interface SegmentFields {
  index: number;
  id: string;
  namespace: number;
  node: string;
  epoch: number;
  sizeBytes: number;
  state: SegmentState;
  endBytes: number;
  /** Absent for false, and in records of earlier versions. */
  durableCommits?: boolean;
}
