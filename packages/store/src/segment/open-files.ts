import { type BlockIO, type Clock, type Directory, type FileId, RefillError } from '@refill/interface';
import { ERRNO } from './errno.ts';
import { fileIdentity } from './file-identity.ts';
import { sameBytes } from './segment-bytes.ts';
import { segmentPath } from './segment-path.ts';

interface OpenFile {
  readonly segment: number;
  /** Of the segment that the index stood for when it was opened. */
  readonly segmentId: Uint8Array;
  readonly file: FileId;
  uses: number;
  /** Opened and not yet taken into use by its opener: not to be evicted. */
  fresh: boolean;
  /** Replaced or unlinked: closed when its last use ends. */
  dropped: boolean;
}

/** A use of an open segment. Its file id stays valid until `release`. */
export type FileUse = OpenFile;

/** Segments open for reading: a bounded set, the one unused for longest goes first. */
export class OpenFiles {
  readonly #io: BlockIO;
  readonly #directory: Directory;
  readonly #clock: Clock;
  readonly #filesMax: number;
  /** In order of last use: a Map keeps insertion order. */
  readonly #files = new Map<number, OpenFile>();
  readonly #opening = new Map<number, Promise<OpenFile>>();
  readonly #idleWaits = new Map<number, (() => void)[]>();
  readonly #uses = new Map<number, number>();

  constructor(parts: { io: BlockIO; directory: Directory; clock: Clock }, options: { filesMax: number }) {
    this.#io = parts.io;
    this.#directory = parts.directory;
    this.#clock = parts.clock;
    this.#filesMax = options.filesMax;
  }

  /** A use of the segment if it is open already, without waiting. */
  tryUse(segment: number): FileUse | undefined {
    const file = this.#files.get(segment);
    if (file === undefined) return undefined;
    const record = this.#directory.segment(segment);
    // A condemned one is not read any more, so that whoever unlinks it waits only for reads that began before.
    if (record?.state === 'dead') return undefined;
    // A directory that was made anew counts from the start again: the index may be another segment's by now (K6).
    if (record !== undefined && !sameBytes(record.id, file.segmentId)) {
      this.drop(segment);
      return undefined;
    }
    this.#files.delete(segment);
    this.#files.set(segment, file);
    return this.#use(file);
  }

  /** A use of the segment, opening it when needed; simultaneous callers share one open. Fails with `errno`. */
  async use(segment: number, deadlineMs: number): Promise<FileUse> {
    const open = this.tryUse(segment);
    if (open !== undefined) return open;
    let opening = this.#opening.get(segment);
    if (opening === undefined) {
      opening = this.#open(segment, deadlineMs).finally(() => this.#opening.delete(segment));
      this.#opening.set(segment, opening);
      const file = this.#use(await opening);
      this.#evict();
      return file;
    }
    return this.#use(await this.#withinDeadline(opening, deadlineMs));
  }

  release(file: FileUse): void {
    file.uses--;
    const uses = this.#uses.get(file.segment)! - 1;
    if (uses === 0) this.#uses.delete(file.segment);
    else this.#uses.set(file.segment, uses);
    if (file.dropped && file.uses === 0) this.#io.close(file.file);
    if (uses === 0) {
      const waits = this.#idleWaits.get(file.segment);
      this.#idleWaits.delete(file.segment);
      for (const wait of waits ?? []) wait();
    }
  }

  /** Forgets an open file, so that the next use opens it anew: it was gone or stale. */
  drop(segment: number): void {
    const file = this.#files.get(segment);
    if (file === undefined) return;
    this.#files.delete(segment);
    file.dropped = true;
    if (file.uses === 0) this.#io.close(file.file);
  }

  /** Resolves when no read of the segment is in flight; the file is closed then. */
  async whenIdle(segment: number): Promise<void> {
    this.drop(segment);
    if (!this.#uses.has(segment)) return;
    await new Promise<void>((resolve) => {
      const waits = this.#idleWaits.get(segment) ?? [];
      waits.push(resolve);
      this.#idleWaits.set(segment, waits);
    });
  }

  closeAll(): void {
    for (const segment of [...this.#files.keys()]) this.drop(segment);
  }

  #use(file: OpenFile): OpenFile {
    file.uses++;
    file.fresh = false;
    this.#uses.set(file.segment, (this.#uses.get(file.segment) ?? 0) + 1);
    return file;
  }

  async #open(segment: number, deadlineMs: number): Promise<OpenFile> {
    const record = this.#directory.segment(segment);
    const namespace = record && this.#directory.namespace(record.namespace);
    if (record === undefined || namespace === undefined || record.state === 'dead') {
      throw new RefillError('ERR_STORAGE_FAILED', `segment ${segment} is gone`, { errno: ERRNO.ENOENT });
    }
    const id = await this.#io.open(segmentPath(record.id), {
      direct: true,
      identity: fileIdentity({ segmentId: record.id, namespaceId: namespace.id, epoch: record.epoch }),
      deadlineMs,
    });
    const file: OpenFile = {
      segment,
      segmentId: record.id,
      file: id,
      uses: 0,
      fresh: true,
      dropped: false,
    };
    this.drop(segment);
    this.#files.set(segment, file);
    return file;
  }

  /** Whoever joins another's open keeps the deadline of its own. */
  #withinDeadline(opening: Promise<OpenFile>, deadlineMs: number): Promise<OpenFile> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(deadlineMs, () =>
        reject(
          new RefillError('ERR_DEADLINE', 'opening a segment took too long', { errno: ERRNO.ETIMEDOUT }),
        ),
      );
      opening.then(resolve, reject).finally(cancel);
    });
  }

  #evict(): void {
    let excess = this.#files.size - this.#filesMax;
    for (const file of this.#files.values()) {
      if (excess <= 0) return;
      if (file.uses > 0 || file.fresh) continue;
      this.#files.delete(file.segment);
      this.#io.close(file.file);
      excess--;
    }
  }
}
