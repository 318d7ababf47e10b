import type { EngineOp } from '@refill/interface';
import type { Level } from 'level';
import { holds, latin1 } from './expectation.ts';

export type Database = Level<Uint8Array, Uint8Array>;

/** What the engine's queue runs. */
export interface Job {
  /** May run beside others that may. */
  readonly independent: boolean;
  run(db: Database): Promise<void>;
  fail(error: unknown): void;
}

/** A group takes no more calls above this: a batch of a few megabytes is written while the next one is filled. */
const GROUP_OPS_MAX = 16_384;

/**
 * Calls that are written together, with one sync if any of them is durable, whole or not at all: a barrier among them
 * needs durable only what was written before the group. A plain group (no condition) fills its
 * native batch as calls come in, so that marshalling overlaps with the write before it; a conditional one reads the
 * keys in question first and decides in order.
 */
export class WriteGroup implements Job {
  readonly conditional: boolean;
  readonly independent: boolean;
  readonly #batch: ReturnType<Database['batch']>;
  readonly #calls: {
    count: number;
    /** Of a conditional call; a plain one's are in the batch already. */
    ops: readonly EngineOp[];
    resolve(results: boolean[]): void;
    reject(error: unknown): void;
  }[] = [];
  #count = 0;
  #durable = false;
  #barrier = false;
  readonly #syncLogs: () => Promise<void>;

  constructor(
    db: Database,
    {
      conditional,
      independent,
      syncLogs,
    }: { conditional: boolean; independent: boolean; syncLogs: () => Promise<void> },
  ) {
    this.#batch = db.batch();
    this.#syncLogs = syncLogs;
    this.independent = independent;
    this.conditional = conditional;
  }

  get full(): boolean {
    return this.#count >= GROUP_OPS_MAX;
  }

  add(
    ops: readonly EngineOp[],
    { durable, barrier }: { durable: boolean; barrier: boolean },
  ): Promise<boolean[]> {
    if (!this.conditional) for (const op of ops) this.#append(op);
    this.#count += ops.length;
    this.#durable ||= durable;
    this.#barrier ||= barrier;
    return new Promise((resolve, reject) => {
      this.#calls.push({ count: ops.length, ops: this.conditional ? ops : [], resolve, reject });
    });
  }

  async run(db: Database): Promise<void> {
    const results = this.conditional ? await this.#decide(db) : undefined;
    if (this.#barrier) await this.#syncLogs();
    await this.#batch.write({ sync: this.#durable } as object);
    for (const [i, { count, resolve }] of this.#calls.entries()) {
      resolve(results?.[i] ?? new Array<boolean>(count).fill(true));
    }
  }

  fail(error: unknown): void {
    for (const call of this.#calls) call.reject(error);
  }

  async #decide(db: Database): Promise<boolean[][]> {
    const asked = this.#calls.flatMap(({ ops }) => ops.filter(({ expect }) => expect !== undefined));
    const values = await db.getMany(asked.map(({ key }) => key));
    const current = new Map(asked.map(({ key }, i) => [latin1(key), values[i]]));
    return this.#calls.map(({ ops }) =>
      ops.map((op) => {
        const name = latin1(op.key);
        if (!holds(op.expect, current.get(name))) return false;
        current.set(name, op.value);
        this.#append(op);
        return true;
      }),
    );
  }

  #append({ key, value }: EngineOp): void {
    if (value === undefined) this.#batch.del(key);
    else this.#batch.put(key, value);
  }
}
