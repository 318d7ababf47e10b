import type { IoBatch, IoCounters } from '@refill/interface';
import { IO_OP, IO_WORDS } from '@refill/interface';
import { native } from './native.ts';

/** How often late answers are looked for while the kernel holds something past its deadline. */
const LOOK_MS = 20;

interface Collaborators {
  sweep(): Promise<void>;
  tell(buffer: number, offset: number, length: number): void;
}

/**
 * Tells of buffers that the kernel let go of after their operation had timed out. Every read, write, copy and
 * checksum that was reported as `-ETIMEDOUT` is told of exactly once, never before its `submit` has resolved.
 */
export class Releases {
  readonly #instance: number;
  readonly #collaborators: Collaborators;
  readonly #values = new Float64Array(7);
  readonly #queued: number[] = [];
  #timeoutsSeen = 0;
  /** Operations that expired before a worker saw them: native code has not counted them. */
  #queueTimeouts = 0;
  #look: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(instance: number, collaborators: Collaborators) {
    this.#instance = instance;
    this.#collaborators = collaborators;
  }

  counters(): IoCounters {
    if (!this.#stopped) native.counters(this.#instance, this.#values);
    const [bytesRead, bytesWritten, reads, writes, syncs, timeouts, quarantined] = this.#values;
    return {
      bytesRead: bytesRead!,
      bytesWritten: bytesWritten!,
      reads: reads!,
      writes: writes!,
      syncs: syncs!,
      timeouts: timeouts! + this.#queueTimeouts,
      quarantined: quarantined!,
    };
  }

  /** A batch that expired in the queue: nobody has its buffers, yet they are told of like the others. */
  addQueued(batch: IoBatch): void {
    this.#queueTimeouts += batch.count;
    const { uwords } = batch;
    for (let at = 0; at < batch.count * IO_WORDS; at += IO_WORDS) {
      if (uwords[at] === IO_OP.sync) continue;
      this.#queued.push(uwords[at + 3]!, uwords[at + 6]! + uwords[at + 7]! * 2 ** 32, uwords[at + 8]!);
    }
  }

  /** Called after every batch: cheap unless something timed out. */
  check(): void {
    const { timeouts, quarantined } = this.counters();
    if (timeouts === this.#timeoutsSeen && quarantined === 0) return;
    this.#timeoutsSeen = timeouts;
    if (this.#look !== undefined || this.#stopped) return;
    this.#look = setTimeout(() => void this.#lookNow(), 1);
    this.#look.unref();
  }

  /** Waits for the kernel at most `waitMs`; false when it still holds something. */
  async stop(waitMs: number): Promise<boolean> {
    clearTimeout(this.#look);
    const untilMicros = native.nowMicros() + waitMs * 1000;
    while (this.counters().quarantined > 0 && native.nowMicros() < untilMicros) {
      await this.#collaborators.sweep();
      this.#drain();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    this.#drain();
    const { quarantined } = this.counters();
    this.#stopped = true;
    return quarantined === 0;
  }

  async #lookNow(): Promise<void> {
    if (this.counters().quarantined > 0) await this.#collaborators.sweep();
    this.#drain();
    this.#look = undefined;
    if (this.#stopped || this.counters().quarantined === 0) return;
    this.#look = setTimeout(() => void this.#lookNow(), LOOK_MS);
    this.#look.unref();
  }

  #drain(): void {
    const flat = [...this.#queued.splice(0), ...native.takeReleases(this.#instance)];
    for (let i = 0; i < flat.length; i += 3) this.#collaborators.tell(flat[i]!, flat[i + 1]!, flat[i + 2]!);
  }
}
