import {
  type BlockIO,
  type BufferId,
  FILE_IDENTITY_BYTES,
  type FileId,
  type FileStat,
  type FileSystemStat,
  IO_FLAG,
  IO_OP,
  IO_WORDS,
  type IoBatch,
  type IoCounters,
  type IoReport,
  type OpenOptions,
  PAGE_BYTES,
  RefillError,
} from '@refill/interface';
import { boundChecksum } from '../fixtures/sim-io.ts';
import { drawFate } from './faults.ts';
import type { SharedFile } from './shared-file.ts';
import type { SharedFs } from './shared-fs.ts';
import type { SimProcess } from './sim-process.ts';
import type { Timeline } from './timeline.ts';

const DEADLINE_MS = 5_000;
/** What hung lands or ends so much later than its deadline, at most. */
const LATE_MS = 30_000;
const ERRNO = { ENOENT: 2, EIO: 5, EEXIST: 17, ETIMEDOUT: 110, ESTALE: 116, ECANCELED: 125 } as const;

interface Handle {
  readonly file: SharedFile;
  readonly identity: Uint8Array;
}

export interface HostIoParts {
  timeline: Timeline;
  process: SimProcess;
  fs: SharedFs;
  host: string;
  random: () => number;
  arena: Uint8Array;
}

const REPORT: IoReport = {
  engine: 'threads',
  engineReason: 'simulated',
  direct: true,
  directReason: undefined,
  alignmentBytes: PAGE_BYTES,
  alignmentSource: 'assumed',
  arenaPageBytes: PAGE_BYTES,
  arenaPagesBy: 'none',
  arenaBytes: 0,
  checksumBy: 'tables',
  kernelFlags: [],
};

/**
 * `BlockIO` of one process on its host. What was submitted happens when its time has come, whether the process stands
 * still or not; of a dead one each write in flight lands or does not, of a host without power none does.
 */
export class HostIo implements BlockIO {
  readonly report: IoReport;
  readonly counters: IoCounters = {
    bytesRead: 0,
    bytesWritten: 0,
    reads: 0,
    writes: 0,
    syncs: 0,
    timeouts: 0,
    quarantined: 0,
  };
  readonly panes: readonly Uint8Array[];
  onRelease: ((buffer: BufferId, bufferOffset: number, length: number) => void) | undefined;
  /** Operations that begin now hang, as on a mount whose server is cut off. */
  isHung = false;
  /** What reads that begin now take longer. */
  slowMs = 0;
  hasPower = true;
  /** Whether reads of this process may rely on files: it holds its lease. */
  mayRely: () => boolean = () => false;
  readonly #parts: HostIoParts;
  readonly #handles = new Map<FileId, Handle>();
  readonly #regions = new Map<BufferId, Uint8Array>();
  readonly #detached = new Set<BufferId>();
  #nextFile = 1;
  #nextRegion = 1;

  constructor(parts: HostIoParts) {
    this.#parts = parts;
    this.panes = [parts.arena];
    this.report = { ...REPORT, arenaBytes: parts.arena.length };
  }

  start(): void {}
  stop(): void {}

  open(path: string, options: OpenOptions = {}): Promise<FileId> {
    const { fs, host } = this.#parts;
    return this.#act(options.create ? 'create' : 'open', options.deadlineMs, () => {
      if (options.create && fs.files.has(path)) fail(ERRNO.EEXIST, `${path} exists`);
      const file = options.create
        ? fs.create(path, options.sizeBytes ?? 0, host)
        : (fs.find(path, host) ?? fail(ERRNO.ENOENT, `${path} is not there`));
      const id = this.#nextFile++;
      const identity = options.identity?.slice() ?? new Uint8Array(FILE_IDENTITY_BYTES);
      this.#handles.set(id, { file: file!, identity });
      return id;
    });
  }

  close(file: FileId): void {
    if (!this.#handles.delete(file)) throw new Error(`file ${file} is closed twice`);
  }

  stat(path: string, options: { deadlineMs?: number } = {}): Promise<FileStat | undefined> {
    const { fs, host, timeline } = this.#parts;
    return this.#act('stat', options.deadlineMs, () => {
      const file = fs.find(path, host);
      const sizeBytes = file?.sizeFor(host, timeline.nowMs()) ?? 0;
      return file && { sizeBytes, allocatedBytes: sizeBytes, directory: false, modifiedMs: 0 };
    });
  }

  async statfs(): Promise<FileSystemStat> {
    return { totalBytes: 2 ** 40, freeBytes: 2 ** 40, freeFiles: 2 ** 20, type: '0' };
  }

  mkdir(_path: string, options: { deadlineMs?: number } = {}): Promise<void> {
    return this.#act('mkdir', options.deadlineMs, () => {});
  }

  async lock(): Promise<boolean> {
    return true;
  }

  readFile(path: string, options: { deadlineMs?: number } = {}): Promise<Uint8Array | undefined> {
    const { fs, host } = this.#parts;
    return this.#act('readFile', options.deadlineMs, () => fs.readSmall(path, host)?.slice());
  }

  writeFile(path: string, bytes: Uint8Array, options: { deadlineMs?: number } = {}): Promise<void> {
    const { fs, host } = this.#parts;
    const copy = bytes.slice();
    return this.#act('writeFile', options.deadlineMs, () => fs.writeSmall(path, copy, host));
  }

  list(path: string, options: { deadlineMs?: number } = {}): Promise<string[]> {
    const { fs, host } = this.#parts;
    return this.#act('list', options.deadlineMs, () => fs.list(path, host));
  }

  unlink(path: string, options: { deadlineMs?: number } = {}): Promise<void> {
    const { fs, process } = this.#parts;
    return this.#act('unlink', options.deadlineMs, () => fs.unlink(path, process));
  }

  async attachRegion(_source: { path: string } | { fd: number }, sizeBytes: number): Promise<BufferId> {
    const id = this.#nextRegion++;
    this.#regions.set(id, new Uint8Array(sizeBytes));
    return id;
  }

  /** Its memory stays: the kernel may hold it for an operation that is late. */
  detachRegion(buffer: BufferId): void {
    this.#detached.add(buffer);
  }

  regionPanes(buffer: BufferId): readonly Uint8Array[] {
    return [this.#regions.get(buffer)!];
  }

  submit(batch: IoBatch, { deadlineMs }: { deadlineMs: number }): Promise<void> {
    const { process } = this.#parts;
    let left = 0;
    let hasFailed = false;
    const syncs: number[] = [];
    return new Promise((resolve) => {
      const done = (): void => {
        if (--left > 0) return;
        const sync = syncs.shift();
        if (sync === undefined) {
          process.deliver(resolve);
          return;
        }
        left = 1;
        if (hasFailed) settle(sync, -ERRNO.ECANCELED);
        else this.#submitOne(batch, sync, deadlineMs, (result) => settle(sync, result));
      };
      const settle = (index: number, result: number): void => {
        if (result < 0) hasFailed = true;
        batch.words[index * IO_WORDS + 9] = result;
        done();
      };
      left = 1;
      for (let i = 0; i < batch.count; i++) {
        const opcode = batch.words[i * IO_WORDS]!;
        if (opcode === IO_OP.sync) syncs.push(i);
        else if (opcode === IO_OP.read || opcode === IO_OP.write) {
          left++;
          this.#submitOne(batch, i, deadlineMs, (result) => settle(i, result));
        } else batch.words[i * IO_WORDS + 9] = this.#compute(batch, i, 0);
      }
      done();
    });
  }

  /** One operation on a file. `settle` is called once, at its end or at the deadline. */
  #submitOne(batch: IoBatch, index: number, deadlineMs: number, settle: (result: number) => void): void {
    const { timeline, process, fs, random } = this.#parts;
    const { uwords } = batch;
    const at = index * IO_WORDS;
    const opcode = uwords[at]!;
    const kind = opcode === IO_OP.read ? 'read' : opcode === IO_OP.write ? 'write' : 'sync';
    const handle = this.#handles.get(uwords[at + 2]!)!;
    const [buffer, bufferOffset, length] = [uwords[at + 3]!, uwords[at + 6]!, uwords[at + 8]!];
    if (this.#detached.has(buffer)) throw new Error(`region ${buffer} is used after it was detached`);
    const fileOffset = uwords[at + 5]! * 2 ** 32 + uwords[at + 4]!;
    const fate = drawFate(kind, fs.faults, this.isHung, random);
    if (kind === 'read') fate.delayMs += this.slowMs;
    const act = (): number => {
      if (kind === 'sync') return this.#sync(handle);
      if (kind === 'write')
        return this.#write(handle, fileOffset, buffer, bufferOffset, length, fate.isShort);
      return this.#read(handle, fileOffset, buffer, bufferOffset, length, fate.isShort);
    };
    const reading = kind === 'read' ? { process, mayRely: this.mayRely } : undefined;
    if (reading !== undefined) handle.file.reads.add(reading);
    const end = (result: number): void => {
      if (reading !== undefined) handle.file.reads.delete(reading);
      settle(result);
    };
    if (!fate.hangs && fate.delayMs < deadlineMs) {
      timeline.after(fate.delayMs, () => {
        if (this.#isGone(kind)) return;
        const result = fate.errno === 0 ? act() : -fate.errno;
        end(kind === 'read' && result === length ? this.#compute(batch, index, result) : result);
      });
      return;
    }
    const lateMs = fate.hangs ? LATE_MS * random() : Math.max(1, fate.delayMs - deadlineMs);
    timeline.after(deadlineMs, () => {
      this.counters.timeouts++;
      end(-ERRNO.ETIMEDOUT);
    });
    timeline.after(deadlineMs + lateMs, () => {
      if (!this.#isGone(kind)) act();
      process.deliver(() => this.onRelease?.(buffer, bufferOffset, length));
    });
  }

  #write(
    { file }: Handle,
    offset: number,
    buffer: BufferId,
    from: number,
    length: number,
    isShort: boolean,
  ): number {
    const { fs, host, process, random } = this.#parts;
    const pages = Math.ceil(length / PAGE_BYTES);
    const bytes = this.#memory(buffer).subarray(from, from + pages * PAGE_BYTES);
    bytes.fill(0, length);
    const written = isShort ? Math.floor(pages * random()) : pages;
    for (let page = 0; page < written; page++) {
      // Of a process that is dead some pages land.
      if (process.state === 'dead' && random() < 0.3) continue;
      const content = bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      fs.write(file, offset / PAGE_BYTES + page, content, host, process);
    }
    this.counters.writes++;
    this.counters.bytesWritten += length;
    return isShort ? Math.min(length - 1, written * PAGE_BYTES) : length;
  }

  #read(
    { file }: Handle,
    offset: number,
    buffer: BufferId,
    to: number,
    length: number,
    isShort: boolean,
  ): number {
    const { host, timeline, random } = this.#parts;
    const nowMs = timeline.nowMs();
    if (file.isUnlinked && file.host !== host) return -ERRNO.ESTALE;
    const readable = Math.max(0, Math.min(length, file.sizeFor(host, nowMs) - offset));
    const pages = Math.ceil(readable / PAGE_BYTES);
    const bytes = this.#memory(buffer);
    const read = isShort ? Math.floor(pages * random()) : pages;
    for (let page = 0; page < read; page++)
      bytes.set(file.read(offset / PAGE_BYTES + page, host, nowMs), to + page * PAGE_BYTES);
    this.counters.reads++;
    this.counters.bytesRead += readable;
    // Short once more after it was tried again: an error.
    return isShort ? -ERRNO.EIO : readable;
  }

  #sync({ file }: Handle): number {
    const { fs, host } = this.#parts;
    this.counters.syncs++;
    fs.sync(file, host);
    return 0;
  }

  /** Copies and checksums; of a read that is done, its checksum. */
  #compute(batch: IoBatch, index: number, result: number): number {
    const { words, uwords } = batch;
    const at = index * IO_WORDS;
    const [flags, length, offset] = [words[at + 1]!, uwords[at + 8]!, uwords[at + 6]!];
    const memory = this.#memory(uwords[at + 3]!);
    if (words[at] === IO_OP.copy) {
      const from = uwords[at + 21]! * 2 ** 32 + uwords[at + 20]!;
      const source = this.#memory(uwords[at + 22]!);
      memory.set(source.subarray(from, from + length), offset);
    }
    if ((flags & (IO_FLAG.checksum | IO_FLAG.verify)) === 0) return result || length;
    const identity = this.#handles.get(uwords[at + 2]!)!.identity;
    const fileOffset = uwords[at + 5]! * 2 ** 32 + uwords[at + 4]!;
    const key = uwords.subarray(at + 12, at + 20);
    const crc = boundChecksum(identity, key, fileOffset, memory.subarray(offset, offset + length));
    const matches = uwords[at + 10] === crc.lo && uwords[at + 11] === crc.hi;
    uwords[at + 10] = crc.lo;
    uwords[at + 11] = crc.hi;
    return (flags & IO_FLAG.verify) !== 0 && !matches ? -74 : length;
  }

  #memory(buffer: BufferId): Uint8Array {
    return buffer === 0 ? this.panes[0]! : this.#regions.get(buffer)!;
  }

  /** Whether an operation that was in flight at the end of its process never happens. */
  #isGone(kind: string): boolean {
    const { process, random } = this.#parts;
    if (!this.hasPower) return true;
    return process.state === 'dead' && (kind === 'read' || random() < 0.5);
  }

  /** An operation on names or small files. */
  #act<T>(kind: string, deadlineMs: number = DEADLINE_MS, effect: () => T): Promise<T> {
    const { timeline, process, fs, random } = this.#parts;
    const fate = drawFate(kind, fs.faults, this.isHung, random);
    return new Promise((resolve, reject) => {
      const refuse = (errno: number): void => {
        const code = errno === ERRNO.ETIMEDOUT ? 'ERR_DEADLINE' : 'ERR_STORAGE_FAILED';
        process.deliver(() => reject(new RefillError(code, `${kind} failed`, { errno })));
      };
      const act = (): void => {
        if (this.#isGone(kind)) return;
        if (fate.errno !== 0) {
          refuse(fate.errno);
          return;
        }
        try {
          const value = effect();
          process.deliver(() => resolve(value));
        } catch (error) {
          process.deliver(() => reject(error));
        }
      };
      if (!fate.hangs && fate.delayMs < deadlineMs) {
        timeline.after(fate.delayMs, act);
        return;
      }
      timeline.after(deadlineMs, () => refuse(ERRNO.ETIMEDOUT));
      timeline.after(deadlineMs + LATE_MS * random(), act);
    });
  }
}

function fail(errno: number, message: string): never {
  throw new RefillError('ERR_STORAGE_FAILED', message, { errno });
}
