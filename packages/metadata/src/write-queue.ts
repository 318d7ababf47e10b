import { type EngineOp, invariant } from '@refill/interface';
import { type Database, type Job, WriteGroup } from './write-group.ts';

/** Independent groups at once: LevelDB takes the next without asking us, and shares a sync. libuv has four threads. */
const BESIDE_MAX = 3;

/**
 * The order in which calls reach the database. Independent ones run beside one another; every other call runs alone,
 * after all before it. Calls of one kind that have to wait join one group.
 */
export class WriteQueue {
  readonly #waiting: Job[] = [];
  #running = 0;
  /** Whether what runs tolerates company. */
  #beside = false;
  #onIdle: (() => void)[] = [];
  readonly #syncLogs: () => Promise<void>;

  /** `syncLogs` makes durable what the database has logged. */
  constructor(syncLogs: () => Promise<void>) {
    this.#syncLogs = syncLogs;
  }

  write(
    db: Database,
    ops: readonly EngineOp[],
    {
      durable = false,
      independent = false,
      barrier = false,
    }: { durable?: boolean; independent?: boolean; barrier?: boolean },
  ): Promise<boolean[]> {
    const conditional = ops.some(({ expect }) => expect !== undefined);
    invariant(!(conditional && independent), 'an independent call has no conditions');
    invariant(!(barrier && independent), 'a barrier depends on every call before it');
    const last = this.#waiting.at(-1);
    const joins =
      last instanceof WriteGroup &&
      last.conditional === conditional &&
      last.independent === independent &&
      !last.full;
    const group = joins ? last : new WriteGroup(db, { conditional, independent, syncLogs: this.#syncLogs });
    if (!joins) this.#waiting.push(group);
    const written = group.add(ops, { durable, barrier });
    this.#pump(db);
    return written;
  }

  push(db: Database, job: Job): void {
    this.#waiting.push(job);
    this.#pump(db);
  }

  /** Settles when nothing runs or waits. */
  async drained(): Promise<void> {
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #pump(db: Database): void {
    for (let job = this.#waiting[0]; job !== undefined; job = this.#waiting[0]) {
      const fits = job.independent && this.#beside ? this.#running < BESIDE_MAX : this.#running === 0;
      if (!fits) return;
      this.#waiting.shift();
      this.#running++;
      this.#beside = job.independent;
      void this.#run(db, job);
    }
    if (this.#running === 0) for (const wake of this.#onIdle.splice(0)) wake();
  }

  async #run(db: Database, job: Job): Promise<void> {
    await job.run(db).catch((error) => job.fail(error));
    this.#running--;
    this.#pump(db);
  }
}
