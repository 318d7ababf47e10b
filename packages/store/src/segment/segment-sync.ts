import { type BlockIO, type FileId, IO_OP, invariant, pushIo } from '@refill/interface';
import { ERRNO } from './errno.ts';
import { type IoBatches, ioFailure } from './io-batches.ts';

/**
 * The syncs of one segment, one at a time, each shared by all batches whose writes had ended when it began, while
 * later batches are being written. None is tried again: after the first failure every answer is that failure.
 */
export class SegmentSync {
  readonly #parts: { io: BlockIO; batches: IoBatches; counters: { syncs: number } };
  readonly #file: FileId;
  readonly #deadlineMs: number;
  #waiting: ((errno: number) => void)[] = [];
  #running = false;
  #errno = 0;

  constructor(
    parts: { io: BlockIO; batches: IoBatches; counters: { syncs: number } },
    file: FileId,
    deadlineMs: number,
  ) {
    this.#parts = parts;
    this.#file = file;
    this.#deadlineMs = deadlineMs;
  }

  /** Whether no sync runs or waits. */
  get idle(): boolean {
    return !this.#running;
  }

  /** Runs a write that carries its own sync, as the one sync under way; answers its errno. Only while idle. */
  async along(write: () => Promise<number>): Promise<number> {
    invariant(this.idle, 'one sync of a segment at a time');
    this.#running = true;
    this.#parts.counters.syncs++;
    this.#errno ||= await write();
    const errno = this.#errno;
    void this.#run();
    return errno;
  }

  /** Settles when a sync that began after this call has ended: 0, or its errno. Submitted before this returns if none runs. */
  sync(): Promise<number> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      // Whoever comes from here on may have written after this sync began: the next one is his.
      const covered = this.#waiting;
      this.#waiting = [];
      if (this.#errno === 0) this.#errno = await this.#once();
      for (const resolve of covered) resolve(this.#errno);
    }
    this.#running = false;
  }

  async #once(): Promise<number> {
    const { io, batches, counters } = this.#parts;
    const batch = batches.take();
    pushIo(batch, IO_OP.sync, 0, this.#file, 0, 0, 0, 0);
    counters.syncs++;
    try {
      await io.submit(batch, { lane: 'write', deadlineMs: this.#deadlineMs });
      const errno = ioFailure(batch);
      batches.give(batch);
      return errno;
    } catch {
      return ERRNO.EIO;
    }
  }
}
