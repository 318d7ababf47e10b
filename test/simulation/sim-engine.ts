import type { EngineOp, EngineRange, MetadataEngine } from '@refill/interface';
import type { MemoryEngine } from '@refill/metadata';
import type { SimProcess } from './sim-process.ts';

/** Each way between a process and its database takes so long at most. */
const WAY_MS = 0.5;

/**
 * The database of the service as one life of its process has it: changes take time and are made in the order in which
 * they were asked for; a process that dies in between does not hear whether they were. What is in it outlives both.
 */
export class SimEngine implements MetadataEngine {
  readonly name = 'memory';
  readonly #inner: MemoryEngine;
  readonly #process: SimProcess;
  readonly #random: () => number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(inner: MemoryEngine, process: SimProcess, random: () => number) {
    this.#inner = inner;
    this.#process = process;
    this.#random = random;
  }

  start(): void {}
  stop(): void {}

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#inner.getMany(keys);
  }

  write(ops: readonly EngineOp[], options: { durable?: boolean } = {}): Promise<boolean[]> {
    // The contract: what is given may change as soon as the call has returned its promise.
    const copies = ops.map((op) => ({ ...op, key: op.key.slice(), value: op.value?.slice() }));
    return this.#inTurn(() => this.#inner.write(copies, options));
  }

  scan(range: EngineRange): ReturnType<MetadataEngine['scan']> {
    return this.#inner.scan(range);
  }

  clear(range: EngineRange): Promise<void> {
    return this.#inTurn(() => this.#inner.clear(range));
  }

  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#last.then(async () => {
      await this.#process.sleep(WAY_MS * this.#random());
      return await change();
    });
    this.#last = changed;
    const result = await changed;
    await this.#process.sleep(WAY_MS * this.#random());
    return result;
  }
}
