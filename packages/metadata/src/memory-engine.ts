import type { EngineOp, EngineRange, MetadataEngine } from '@refill/interface';
import { holds, latin1 } from './expectation.ts';

const CHUNK_RECORDS = 1000;

/**
 * The engine's contract in memory, for tests and simulation. Its content outlives `stop` as a disk would;
 * `crash` loses what no durable call covered.
 */
export class MemoryEngine implements MetadataEngine {
  readonly name = 'memory';
  #records = new Map<string, Uint8Array>();
  #durable = new Map<string, Uint8Array>();
  #unsynced: [key: string, value: Uint8Array | undefined][] = [];

  start(): void {}
  stop(): void {}

  /** Loses all unsynced writes but the first `kept` (a log is torn at some point, never in the middle). */
  crash(kept = 0): void {
    for (const [key, value] of this.#unsynced.slice(0, kept)) apply(this.#durable, key, value);
    this.#unsynced = [];
    this.#records = new Map(this.#durable);
  }

  /** Writes that a crash may lose. */
  get unsynced(): number {
    return this.#unsynced.length;
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return keys.map((key) => this.#records.get(latin1(key))?.slice());
  }

  async write(ops: readonly EngineOp[], options: { durable?: boolean } = {}): Promise<boolean[]> {
    const results = ops.map(({ key, value, expect }) => {
      const name = latin1(key);
      if (!holds(expect, this.#records.get(name))) return false;
      const copy = value?.slice();
      apply(this.#records, name, copy);
      this.#unsynced.push([name, copy]);
      return true;
    });
    if (options.durable === true) {
      for (const [key, value] of this.#unsynced) apply(this.#durable, key, value);
      this.#unsynced = [];
    }
    return results;
  }

  scan(range: EngineRange): AsyncIterable<readonly (readonly [key: Uint8Array, value: Uint8Array])[]> {
    return chunks(
      this.#within(range).map((name) => [Buffer.from(name, 'latin1'), this.#records.get(name)!.slice()]),
    );
  }

  async clear(range: EngineRange): Promise<void> {
    for (const name of this.#within(range)) {
      this.#records.delete(name);
      this.#unsynced.push([name, undefined]);
    }
  }

  #within({ gte, lt }: EngineRange): string[] {
    const [from, to] = [latin1(gte), latin1(lt)];
    return [...this.#records.keys()].filter((name) => name >= from && name < to).sort();
  }
}

function apply(records: Map<string, Uint8Array>, key: string, value: Uint8Array | undefined): void {
  if (value === undefined) records.delete(key);
  else records.set(key, value);
}

async function* chunks<T>(items: T[]): AsyncIterable<T[]> {
  for (let from = 0; from < items.length; from += CHUNK_RECORDS)
    yield items.slice(from, from + CHUNK_RECORDS);
}
