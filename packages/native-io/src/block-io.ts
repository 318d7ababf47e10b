import { constants } from 'node:os';
import type {
  BlockIO,
  BufferId,
  FileId,
  FileStat,
  FileSystemStat,
  IoBatch,
  IoCounters,
  IoReport,
  OpenOptions,
  SubmitOptions,
} from '@refill/interface';
import { FILE_IDENTITY_BYTES, RefillError } from '@refill/interface';
import { deadlineOf, type JobOptions, runJob } from './jobs.ts';
import { Lane } from './lane.ts';
import { native } from './native.ts';
import type { ResolvedOptions } from './options.ts';
import { Panes } from './panes.ts';
import { Releases } from './releases.ts';

const NO_IDENTITY = new Uint8Array(0);
const SMALL_FILE_BYTES_MAX = 64 * 1024 * 1024;
/** Registered files and buffers of closed ones are let go of this much later, many at a time. */
const LET_GO_MS = 20;
/** How long `stop` waits for the kernel to give back buffers of operations that hang. */
const QUARANTINE_STOP_MS = 2_000;

/** An arena of its own, by its id and descriptor, or the panes of another engine's. */
export type ArenaParts = {
  fd: number;
  report: Pick<IoReport, 'arenaPageBytes' | 'arenaPagesBy' | 'arenaBytes'>;
} & ({ id: number; panes?: undefined } | { id?: undefined; panes: readonly Uint8Array[] });

interface Parts {
  instance: number;
  arena: ArenaParts;
  report: IoReport;
  options: ResolvedOptions;
}

/** `BlockIO` on native code. Made by `createBlockIO`. */
export class NativeBlockIO implements BlockIO {
  readonly report: IoReport;
  /** Descriptor of the arena's shared memory, -1 for another's. Belongs to the engine; valid until `stop`. */
  readonly arenaFd: number;
  readonly arenaBytes: number;
  /** Where clients get the arena and hand over regions. */
  readonly fdSocketPath: string | undefined;
  onRelease: ((buffer: BufferId, bufferOffset: number, length: number) => void) | undefined;

  readonly #instance: number;
  /** The arena, where it is this engine's own. */
  readonly #arena: Panes | undefined;
  readonly #panes: readonly Uint8Array[];
  readonly #lanes: { read: Lane; write: Lane };
  readonly #releases: Releases;
  readonly #regions = new Map<BufferId, Panes>();
  readonly #files = new Set<FileId>();
  readonly #locks: number[] = [];
  #letGo: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor({ instance, arena, report, options }: Parts) {
    this.report = report;
    this.arenaFd = arena.fd;
    this.arenaBytes = report.arenaBytes;
    this.fdSocketPath = options.fdSocketPath;
    this.#instance = instance;
    this.#arena = arena.id === undefined ? undefined : new Panes(arena.id);
    this.#panes = this.#arena?.views ?? arena.panes ?? [];
    const common = { instance, inflightBytesBehindReads: options.writeInflightBytesBehindReads };
    this.#lanes = {
      read: new Lane({
        ...common,
        lane: 'read',
        workers: options.readWorkers,
        inflightBytes: options.readInflightBytes,
      }),
      write: new Lane({
        ...common,
        lane: 'write',
        workers: options.writeWorkers,
        inflightBytes: options.writeInflightBytes,
      }),
    };
    this.#releases = new Releases(instance, {
      sweep: () => this.#sweep(),
      tell: (buffer, offset, length) => this.onRelease?.(buffer, offset, length),
    });
  }

  /** Number of this engine in native code, for what else works on its arena. */
  get instance(): number {
    return this.#instance;
  }

  get panes(): readonly Uint8Array[] {
    return this.#panes;
  }

  get counters(): IoCounters {
    return this.#releases.counters();
  }

  /** Waits until every worker has begun. Already called by `createBlockIO`, and harmless again. */
  async start(): Promise<void> {
    await this.#sweep();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#letGo);
    const released = await this.#releases.stop(QUARANTINE_STOP_MS);
    for (const file of this.#files) native.closeFile(file);
    for (const fd of this.#locks) native.unlock(fd);
    // Ending a thread whose ring still has operations that hang would hang this one too.
    if (released) await Promise.all([this.#lanes.read.stop(), this.#lanes.write.stop()]);
    for (const region of this.#regions.values()) region.free();
    this.#arena?.free();
    native.closeInstance(this.#instance);
  }

  async open(path: string, options: OpenOptions = {}): Promise<FileId> {
    this.#alive();
    const {
      create = false,
      write = create,
      direct = false,
      sizeBytes = -1,
      identity = NO_IDENTITY,
    } = options;
    if (identity.length !== 0 && identity.length !== FILE_IDENTITY_BYTES) {
      throw new TypeError(`identity must be ${FILE_IDENTITY_BYTES} bytes, got ${identity.length}`);
    }
    const tryDirect = direct && this.report.direct;
    const start = () =>
      native.openFile(this.#instance, path, create, write, tryDirect, direct, sizeBytes, identity);
    const [file] = await runJob<number[]>(`open of ${path}`, start, options);
    this.#files.add(file!);
    return file!;
  }

  close(file: FileId): void {
    if (!this.#files.delete(file)) throw new RangeError(`file ${file} is not open`);
    native.closeFile(file);
    this.#letGoSoon();
  }

  async stat(path: string, options: JobOptions = {}): Promise<FileStat | undefined> {
    this.#alive();
    try {
      const values = await runJob<number[]>(
        `stat of ${path}`,
        () => native.stat(this.#instance, path),
        options,
      );
      const [sizeBytes, allocatedBytes, modifiedMs, directory] = values as [number, number, number, number];
      return { sizeBytes, allocatedBytes, modifiedMs, directory: directory === 1 };
    } catch (error) {
      return missing(error);
    }
  }

  async statfs(options: JobOptions = {}): Promise<FileSystemStat> {
    this.#alive();
    const values = await runJob<number[]>('statfs', () => native.statfs(this.#instance), options);
    const [totalBytes, freeBytes, freeFiles, type] = values as [number, number, number, number];
    return { totalBytes, freeBytes, freeFiles, type: type.toString(16) };
  }

  async mkdir(path: string, options: JobOptions = {}): Promise<void> {
    this.#alive();
    await runJob(`mkdir of ${path}`, () => native.mkdir(this.#instance, path), options);
  }

  async lock(path: string, options: JobOptions = {}): Promise<boolean> {
    this.#alive();
    try {
      this.#locks.push(
        await runJob<number>(`lock of ${path}`, () => native.lock(this.#instance, path), options),
      );
      return true;
    } catch (error) {
      if (error instanceof RefillError && error.errno === constants.errno.EWOULDBLOCK) return false;
      throw error;
    }
  }

  async readFile(
    path: string,
    options: JobOptions & { maxBytes?: number } = {},
  ): Promise<Uint8Array | undefined> {
    this.#alive();
    const { maxBytes = SMALL_FILE_BYTES_MAX } = options;
    try {
      const start = () => native.readFile(this.#instance, path, maxBytes);
      return await runJob<Uint8Array>(`read of ${path}`, start, options);
    } catch (error) {
      return missing(error);
    }
  }

  async writeFile(path: string, bytes: Uint8Array, options: JobOptions = {}): Promise<void> {
    this.#alive();
    await runJob(`write of ${path}`, () => native.writeFile(this.#instance, path, bytes), options);
  }

  list(path: string, options: JobOptions = {}): Promise<string[]> {
    this.#alive();
    return runJob<string[]>(`list of ${path}`, () => native.list(this.#instance, path), options);
  }

  async unlink(path: string, options: JobOptions = {}): Promise<void> {
    this.#alive();
    await runJob(`unlink of ${path}`, () => native.unlink(this.#instance, path), options);
  }

  async submit(batch: IoBatch, options: SubmitOptions): Promise<void> {
    this.#alive();
    if (batch.count === 0) return;
    const expired = await this.#lanes[options.lane].run(batch, deadlineOf(options.deadlineMs));
    if (expired) this.#releases.addQueued(batch);
    this.#releases.check();
  }

  async attachRegion(source: { path: string } | { fd: number }, sizeBytes: number): Promise<BufferId> {
    this.#alive();
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
      throw new RangeError(`sizeBytes must be a positive integer, got ${sizeBytes}`);
    }
    const path = 'path' in source ? source.path : '';
    const fd = 'fd' in source ? source.fd : -1;
    if (fd < 0 && path === '') throw new TypeError('source must have a path or a descriptor');
    const start = () => native.attachRegion(path, fd, sizeBytes);
    const buffer = await runJob<number>('attaching a region', start);
    this.#regions.set(buffer, new Panes(buffer));
    return buffer;
  }

  detachRegion(buffer: BufferId): void {
    const region = this.#regions.get(buffer);
    if (region === undefined) throw new RangeError(`region ${buffer} is not attached`);
    this.#regions.delete(buffer);
    region.free();
    this.#letGoSoon();
  }

  regionPanes(buffer: BufferId): readonly Uint8Array[] {
    const region = this.#regions.get(buffer);
    if (region === undefined) throw new RangeError(`region ${buffer} is not attached`);
    return region.views;
  }

  /**
   * The descriptor that a client passed under the 16-byte token, once; `undefined` when there is none. It belongs
   * to the caller, who closes it after `attachRegion({ fd })`.
   */
  takePassedFd(token: Uint8Array): number | undefined {
    const fd = native.takePassedFd(this.#instance, token);
    return fd < 0 ? undefined : fd;
  }

  #alive(): void {
    if (this.#stopped) throw new RefillError('ERR_NODE_CLOSED', 'the I/O engine is stopped');
  }

  #letGoSoon(): void {
    if (this.#stopped || this.#letGo !== undefined) return;
    this.#letGo = setTimeout(() => {
      this.#letGo = undefined;
      void this.#sweep();
    }, LET_GO_MS);
    this.#letGo.unref();
  }

  async #sweep(): Promise<void> {
    await Promise.all([this.#lanes.read.sweep(), this.#lanes.write.sweep()]);
  }
}

function missing(error: unknown): undefined {
  if (error instanceof RefillError && error.errno === constants.errno.ENOENT) return undefined;
  throw error;
}
