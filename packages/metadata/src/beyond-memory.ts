import {
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  ENTRY_NONE,
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  type MetadataEngine,
} from '@refill/interface';
import type { Catalogue } from './catalogue.ts';
import { BLOCK_VALUE_CHILD_BYTES, BlockRecordWriter, decodeBlock } from './record.ts';

/** Keys asked for at a time: enough for the engine's batches, small enough to stop early. */
const ASK_KEYS = 512;

/** What a record in the engine says, if its segment still is. */
export interface Found {
  key: Uint8Array;
  value: Uint8Array;
  row: Uint32Array;
}

/** Blocks that the engine alone knows, because the index in memory has reached its budget. */
export class BeyondMemory {
  /** How many. */
  blocks = 0;
  readonly #engine: MetadataEngine;
  readonly #catalogue: Catalogue;

  constructor(engine: MetadataEngine, catalogue: Catalogue) {
    this.#engine = engine;
    this.#catalogue = catalogue;
  }

  /** Records of some of the keys (`which` are positions), in their order. */
  async read(namespace: number, keys: Uint32Array, which: readonly number[]): Promise<(Found | undefined)[]> {
    const writer = new BlockRecordWriter(which.length);
    const asked = which.map((i) => writer.key(namespace, keys, i * KEY_WORDS));
    const values = await this.#engine.getMany(asked);
    return values.map((value, i) => {
      const row = new Uint32Array(COMMIT_ROW_WORDS);
      if (value === undefined || !decodeBlock(asked[i]!, value, row, 0)) return undefined;
      const segment = this.#catalogue.segments.get(row[COMMIT_ROW.segment]!);
      if (segment === undefined || segment.state === 'dead') return undefined;
      return { key: asked[i]!, value, row };
    });
  }

  /** Fills the location rows that are still empty. */
  async locate(
    namespace: number,
    keys: Uint32Array,
    missing: readonly number[],
    rows: Uint32Array,
  ): Promise<void> {
    for (let from = 0; from < missing.length; from += ASK_KEYS) {
      const which = missing.slice(from, from + ASK_KEYS);
      const found = await this.read(namespace, keys, which);
      for (const [i, record] of found.entries()) {
        if (record !== undefined) fillLocation(record.row, rows, which[i]! * LOCATION_ROW_WORDS);
      }
    }
  }

  /** First of the keys that the engine does not know either, or `undefined`. */
  async firstAbsent(
    namespace: number,
    keys: Uint32Array,
    missing: readonly number[],
  ): Promise<number | undefined> {
    for (let from = 0; from < missing.length; from += ASK_KEYS) {
      const which = missing.slice(from, from + ASK_KEYS);
      const absent = (await this.read(namespace, keys, which)).indexOf(undefined);
      if (absent >= 0) return which[absent];
    }
    return undefined;
  }

  /**
   * Puts blocks (positions in `rows`) that memory does not know, if the engine does not either. Returns 1 for each
   * that is now the location, 2 if it was so before this call, 0 where another block came first.
   */
  async put(rows: Uint32Array, which: readonly number[], durable: boolean): Promise<Uint8Array> {
    const ops = recordsOf(rows, which).map((op) => ({ ...op, expect: { absent: true } as const }));
    const results = await this.#engine.write(ops, { durable });
    const lost = results.flatMap((done, i) => (done ? [] : [i]));
    const current = await this.#engine.getMany(lost.map((i) => ops[i]!.key));
    const outcome = Uint8Array.from(results, Number);
    for (const [i, value] of current.entries()) {
      const same = value !== undefined && sameRecord(value, ops[lost[i]!]!.value!);
      if (same) outcome[lost[i]!] = 2;
    }
    return outcome;
  }

  /** Writes records that are there already, durably: when they were written first they may not have been. */
  async putAgain(rows: Uint32Array, which: readonly number[]): Promise<void> {
    await this.#engine.write(recordsOf(rows, which), { durable: true });
  }
}

function recordsOf(rows: Uint32Array, which: readonly number[]): { key: Uint8Array; value: Uint8Array }[] {
  const writer = new BlockRecordWriter(which.length);
  return which.map((i) => {
    const at = i * COMMIT_ROW_WORDS;
    const key = writer.key(rows[at + COMMIT_ROW.namespace]!, rows, at + COMMIT_ROW.key);
    return { key, value: writer.value(rows, at) };
  });
}

function sameRecord(a: Uint8Array, b: Uint8Array): boolean {
  return a.length <= BLOCK_VALUE_CHILD_BYTES && Buffer.compare(a, b) === 0;
}

function fillLocation(row: Uint32Array, rows: Uint32Array, at: number): void {
  rows[at + LOCATION_ROW.found] = 1;
  rows[at + LOCATION_ROW.segment] = row[COMMIT_ROW.segment]!;
  rows[at + LOCATION_ROW.offsetPages] = row[COMMIT_ROW.offsetPages]!;
  rows[at + LOCATION_ROW.lengthBytes] = row[COMMIT_ROW.lengthBytes]!;
  rows[at + LOCATION_ROW.storedBytes] = row[COMMIT_ROW.storedBytes]!;
  rows[at + LOCATION_ROW.checksumLo] = row[COMMIT_ROW.checksumLo]!;
  rows[at + LOCATION_ROW.checksumHi] = row[COMMIT_ROW.checksumHi]!;
  rows[at + LOCATION_ROW.tokens] = row[COMMIT_ROW.tokens]!;
  rows[at + LOCATION_ROW.flags] = row[COMMIT_ROW.flags]!;
  rows[at + LOCATION_ROW.entry] = ENTRY_NONE;
  rows[at + LOCATION_ROW.holdersLo] = 0;
  rows[at + LOCATION_ROW.holdersHi] = 0;
}
