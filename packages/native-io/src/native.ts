import { createRequire } from 'node:module';
// Alone: every worker loads this file, and needs none of the rest.
import { RefillError } from '@refill/interface/errors';

/** Number of a job: a call that runs on a native thread and answers through the handler. */
export type JobId = number;

/** Functions of the addon, as they are. Only `jobs.ts` calls those that return a `JobId`. */
export interface Native {
  /** Called for each job that ends, and with job 0 when batches were settled. */
  setHandler(handler: (job: JobId, errno: number, value: unknown) => void): void;
  abandonJob(job: JobId): void;
  /** Pairs of slot and status (0 or minus errno) of batches that are done; returns how many. */
  takeSettled(out: Int32Array): number;

  openInstance(root: string, probe: boolean): JobId;
  openFile(
    instance: number,
    path: string,
    create: boolean,
    write: boolean,
    direct: boolean,
    padded: boolean,
    sizeBytes: number,
    identity: Uint8Array,
  ): JobId;
  closeFile(file: number): boolean;
  stat(instance: number, path: string): JobId;
  statfs(instance: number): JobId;
  mkdir(instance: number, path: string): JobId;
  lock(instance: number, path: string): JobId;
  unlock(fd: number): void;
  list(instance: number, path: string): JobId;
  unlink(instance: number, path: string): JobId;
  readFile(instance: number, path: string, maxBytes: number): JobId;
  writeFile(instance: number, path: string, bytes: Uint8Array): JobId;

  createArena(instance: number, bytes: number, pagesUpTo: number): JobId;
  /** Makes the arena of `owner` that of `instance` too; false when either is gone. */
  shareArena(instance: number, owner: number): boolean;
  /** Minus errno alone, or id, page bytes, rung of the ladder, bytes, descriptor. */
  createShared(bytes: number): number[];
  attachRegion(path: string, fd: number, bytes: number): JobId;
  detachRegion(buffer: number): boolean;
  panes(buffer: number): ArrayBuffer[];
  detachArrayBuffer(buffer: ArrayBufferLike): void;
  mapArena(fdSocketPath: string, deadlineMs: number): JobId;
  passFd(fdSocketPath: string, fd: number, token: Uint8Array, deadlineMs: number): JobId;
  startFdServer(instance: number, path: string): JobId;
  takePassedFd(instance: number, token: Uint8Array): number;

  probeUring(rings: number): string[];
  useThreads(instance: number, readThreads: number, writeThreads: number): void;
  /**
   * Queues a batch under a number of the caller's. Its words belong to native code until it is settled or withdrawn.
   * Returns whether a worker waits for it.
   */
  enqueue(
    instance: number,
    lane: number,
    words: Int32Array,
    count: number,
    slot: number,
    startedMicros: number,
    deadlineMicros: number,
  ): boolean;
  /** False when a worker has the batch. */
  withdraw(instance: number, lane: number, slot: number): boolean;
  batchesWait(instance: number, lane: number): boolean;
  /** Runs batches on the ring of this thread until none is under way or queued; false when none came within the wait. */
  runBatches(
    instance: number,
    lane: number,
    inflightBytes: number,
    inflightBytesBehindReads: number,
    waitMicros: number,
  ): boolean;
  sweep(instance: number, lane: number): void;
  closeInstance(instance: number): void;

  /** `[id, port]`, or minus errno alone. */
  openPeer(
    instance: number,
    host: string,
    port: number,
    bufferBytes: number,
    congestion: string,
    connectionsMax: number,
    connectionsPerPeer: number,
  ): number[];
  /** Settles both slots when its threads are done; then it is to be closed. */
  stopPeer(peer: number, senderSlot: number, receiverSlot: number): void;
  closePeer(peer: number): void;
  peerCongestion(peer: number): string;
  /** An errno. The slot is settled when the memory is released. */
  peerOffer(
    peer: number,
    slot: number,
    rows: Uint32Array,
    count: number,
    lifeMicros: number,
    ticket: Uint8Array,
  ): number;
  peerEnd(peer: number, slot: number): void;
  /** An errno. Once the slot is settled, `peerTake` writes the statuses into the rows. */
  peerReceive(
    peer: number,
    slot: number,
    address: string,
    ticket: Uint8Array,
    rows: Uint32Array,
    count: number,
    deadlineMicros: number,
  ): number;
  peerTake(peer: number, slot: number, rows: Uint32Array): void;
  peerCounters(peer: number, out: Float64Array): void;

  counters(instance: number, out: Float64Array): void;
  takeReleases(instance: number): number[];
  checksum(bytes: Uint8Array, level: number): bigint | undefined;
  checksumLevels(): string[];
  nowMicros(): number;
  openHandles(): number[];
}

function load(): Native {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) {
    throw new RefillError(
      'ERR_PLATFORM',
      `Refill needs Linux on x86-64 or arm64, this is ${process.platform} ${process.arch}`,
    );
  }
  try {
    return createRequire(import.meta.url)('../build/refill_io.node') as Native;
  } catch (cause) {
    throw new RefillError('ERR_PLATFORM', 'the native addon cannot be loaded', {
      cause,
      fix: 'Build it with: node packages/native-io/build.mjs',
    });
  }
}

/** The addon. The one place that names the file. */
export const native: Native = load();
