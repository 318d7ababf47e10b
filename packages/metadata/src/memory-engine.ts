import type { EngineOp, EngineRange, MetadataEngine } from '@refill/interface';
import { holds, latin1 } from './expectation.ts';

const CHUNK_RECORDS = 1000;

interface Logged {
  name: string;
  value: Uint8Array | undefined;
  isSynced: boolean;
}

/**
 * The engine's contract in memory, for tests and simulation. Its content outlives `stop` as a disk would; `crash` loses
 * what no durable call covered. Like LevelDB it syncs the log that it writes to: after `rollLog` a durable call covers
 * nothing of before, unless it is a barrier.
 */
export class MemoryEngine implements MetadataEngine {
  readonly name = 'memory';
  #records = new Map<string, Uint8Array>();
  #durable = new Map<string, Uint8Array>();
  /** Of the logs since everything was durable, in the order of the calls; those from `#logFrom` on are of the last. */
  #logged: Logged[] = [];
  #logFrom = 0;

  start(): void {}
  stop(): void {}

  /** Begins another log, as when the one before is full. */
  rollLog(): void {
    this.#logFrom = this.#logged.length;
  }

  /** Loses all unsynced writes but the first `kept` (a log is torn at some point, never in the middle). */
  crash(kept = 0): void {
    let left = kept;
    for (const { name, value, isSynced } of this.#logged)
      if (isSynced || left-- > 0) apply(this.#durable, name, value);
    this.#logged = [];
    this.#logFrom = 0;
    this.#records = new Map(this.#durable);
  }

  /** Writes that a crash may lose. */
  get unsynced(): number {
    return this.#logged.filter(({ isSynced }) => !isSynced).length;
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return keys.map((key) => this.#records.get(latin1(key))?.slice());
  }

  async write(
    ops: readonly EngineOp[],
    { durable = false, barrier = false }: { durable?: boolean; barrier?: boolean } = {},
  ): Promise<boolean[]> {
    if (ops.length === 0) return [];
    if (barrier) this.#syncFrom(0);
    const results = ops.map(({ key, value, expect }) => {
      const name = latin1(key);
      if (!holds(expect, this.#records.get(name))) return false;
      this.#put(name, value?.slice());
      return true;
    });
    if (durable) this.#syncFrom(this.#logFrom);
    return results;
  }

  scan(range: EngineRange): AsyncIterable<readonly (readonly [key: Uint8Array, value: Uint8Array])[]> {
    return chunks(
      this.#within(range).map((name) => [Buffer.from(name, 'latin1'), this.#records.get(name)!.slice()]),
    );
  }

  async clear(range: EngineRange): Promise<void> {
    for (const name of this.#within(range)) this.#put(name, undefined);
    this.#syncFrom(0);
  }

  #put(name: string, value: Uint8Array | undefined): void {
    apply(this.#records, name, value);
    this.#logged.push({ name, value, isSynced: false });
  }

  #syncFrom(first: number): void {
    for (let i = first; i < this.#logged.length; i++) this.#logged[i]!.isSynced = true;
    if (this.unsynced > 0) return;
    for (const { name, value } of this.#logged) apply(this.#durable, name, value);
    this.#logged = [];
    this.#logFrom = 0;
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
