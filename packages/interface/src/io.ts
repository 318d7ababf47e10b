import type { AbortOptions, Startable } from '@libp2p/interface';
import type { IoBatch } from './io-batch.ts';

/** Handle of an open file; stays valid until `close` resolves. */
export type FileId = number;
/** Handle of a mapped buffer: 0 is the arena, others come from `attachRegion`. */
export type BufferId = number;

export interface OpenOptions extends AbortOptions {
  /** Create the file; fails with EEXIST when it is there (`O_EXCL`). Its name is durable when `open` resolves. */
  create?: boolean;
  /** Open for writing. */
  write?: boolean;
  /** Bypass the page cache where the file system can (`O_DIRECT`). One file, one mode, for its whole life. */
  direct?: boolean;
  /** Sets the size by `ftruncate` right after creation. */
  sizeBytes?: number;
  /** First 40 bytes of the identity of blocks in this file (see `checksum.ts`). */
  identity?: Uint8Array;
  deadlineMs?: number;
}

export interface SubmitOptions {
  /** `read`: a request waits for it. `write`: write-behind, at idle priority where the scheduler knows it. */
  lane: 'read' | 'write';
  /**
   * Milliseconds after which operations that are not done are reported as `-ETIMEDOUT`. Their buffers stay
   * quarantined (`onRelease`) until the kernel lets go of them: they must be neither freed nor reused before.
   */
  deadlineMs: number;
}

/** What the probe found and which engine runs; shown by `refill doctor`, `status` and the metrics. */
export interface IoReport {
  engine: 'io_uring' | 'threads';
  /** Why not the better engine, in words, where there is one. */
  engineReason: string | undefined;
  direct: boolean;
  directReason: string | undefined;
  alignmentBytes: number;
  alignmentSource: 'statx' | 'probe' | 'assumed';
  /** Page size behind the arena, verified in smaps. */
  arenaPageBytes: number;
  arenaPagesBy: 'hugetlb' | 'thp' | 'collapse' | 'none';
  arenaBytes: number;
  /** Vector unit used for checksums. */
  checksumBy: string;
  kernelFlags: string[];
}

export interface FileStat {
  sizeBytes: number;
  /** Bytes allocated on the device. */
  allocatedBytes: number;
  directory: boolean;
  modifiedMs: number;
}

export interface FileSystemStat {
  totalBytes: number;
  freeBytes: number;
  freeFiles: number;
  /** Magic number of `statfs`, as hexadecimal. */
  type: string;
}

export interface IoCounters {
  bytesRead: number;
  bytesWritten: number;
  reads: number;
  writes: number;
  syncs: number;
  timeouts: number;
  /** Operations whose buffers the kernel still holds past their deadline. */
  quarantined: number;
}

/** Small files by name: catalogue, checkpoints, markers. */
export interface SmallFiles {
  /** The whole file, or `undefined` when it is not there. Fails above `maxBytes`. */
  readFile(
    path: string,
    options?: AbortOptions & { deadlineMs?: number; maxBytes?: number },
  ): Promise<Uint8Array | undefined>;
  /** Writes a temporary file, `fdatasync`, renames, syncs the directory: after it resolves the content is durable. */
  writeFile(path: string, bytes: Uint8Array, options?: AbortOptions & { deadlineMs?: number }): Promise<void>;
  /** Names in a directory, sorted; empty when it is not there. */
  list(path: string, options?: AbortOptions & { deadlineMs?: number }): Promise<string[]>;
  /** Removes a file; not an error when it is gone already. After it resolves the name does not come back. */
  unlink(path: string, options?: AbortOptions & { deadlineMs?: number }): Promise<void>;
}

/**
 * The operating system behind one interface. All paths are relative to the root given at creation; a path that
 * leaves it or meets a symbolic link fails. Errors are `RefillError` with `errno`. No call outlives its deadline,
 * also on a hung mount: what the kernel does not give back is counted and quarantined, other I/O goes on.
 */
export interface BlockIO extends Startable, SmallFiles {
  readonly report: IoReport;
  readonly counters: IoCounters;
  /** The arena's memory as panes of at most 1 GiB. */
  readonly panes: readonly Uint8Array[];

  open(path: string, options?: OpenOptions): Promise<FileId>;
  /** Closes once no operation uses the file any more; resolves at once. */
  close(file: FileId): void;
  stat(path: string, options?: AbortOptions & { deadlineMs?: number }): Promise<FileStat | undefined>;
  statfs(options?: AbortOptions & { deadlineMs?: number }): Promise<FileSystemStat>;
  mkdir(path: string, options?: AbortOptions & { deadlineMs?: number }): Promise<void>;
  /** Takes an advisory lock held until `stop`; false when another holds it. */
  lock(path: string, options?: AbortOptions & { deadlineMs?: number }): Promise<boolean>;

  /**
   * Runs a batch on a worker of the lane and resolves when every operation is done or timed out; results are in
   * the batch. Never rejects for a failed operation, only when the engine is stopped. The batch and its buffers
   * belong to the engine until then. Operations of one batch run concurrently, except that `sync` waits.
   */
  submit(batch: IoBatch, options: SubmitOptions): Promise<void>;
  /**
   * Told when the kernel let go of a buffer range whose operation had timed out.
   * `token` is the operation's position: buffer id, buffer offset and length.
   */
  onRelease: ((buffer: BufferId, bufferOffset: number, length: number) => void) | undefined;

  /** Maps a client's shared-memory file for I/O. `sizeBytes` is checked against the file. */
  attachRegion(source: { path: string } | { fd: number }, sizeBytes: number): Promise<BufferId>;
  /** Unmaps once no operation uses it. */
  detachRegion(buffer: BufferId): void;
  /** The memory of a region, in panes of at most 1 GiB. */
  regionPanes(buffer: BufferId): readonly Uint8Array[];
}
