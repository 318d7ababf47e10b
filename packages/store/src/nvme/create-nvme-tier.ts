import {
  type BlockIO,
  type Chance,
  type Clock,
  type Directory,
  type NvmeState,
  PUT_STATUS,
  RefillError,
  SEGMENT_BYTES_MIN,
} from '@refill/interface';
import { createSharedTier } from '../segment/create-shared-tier.ts';
import { isFull } from '../segment/errno.ts';
import {
  LOAD_ROW,
  LOAD_ROW_WORDS,
  LOAD_STATUS,
  type Scratch,
  type SharedTier,
  STORE_ROW,
  STORE_ROW_WORDS,
} from '../shared-tier.ts';
import type { BlockSource } from '../source/block-source.ts';
import { NvmeIndex } from './nvme-index.ts';
import type { NvmeTier, NvmeTierFigures } from './nvme-tier.ts';
import { encodeOrigin } from './origin.ts';
import { rebuildIndex } from './rebuild-index.ts';

const MIB = 1024 * 1024;
/** A file is a small part of the capacity, so that what makes room for it is too. */
const SEGMENTS_MIN = 32;
const SEGMENT_BYTES_MOST: number = 256 * MIB;
/** A block that is a larger part of the capacity would push out too much for itself. */
const BLOCK_SHARE_MAX = 1 / 8;
/** Entries in memory: of 64 KiB blocks, the smallest that are worth a read of their own, as many as fit. */
const ENTRY_BYTES_MEAN: number = 64 * 1024;
const ENTRIES_MIN = 65_536;
/** A local disk that takes longer than this for a write hangs. */
const WRITE_DEADLINE_MS = 5_000;
/** After a failed write nothing is written for a while, longer each time. */
const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 60_000;
/** No room within the capacity before open files are closed: a batch is dropped, and the disk is well. */
const EBUSY = 16;
/** Files unlinked for one new one, at most. */
const EVICTIONS_MAX = 64;

export interface NvmeTierParts {
  /** Of the disk's directory; its arena is the node's. Started before, stopped after the tier. */
  io: BlockIO;
  /** The cluster's. */
  directory: Directory;
  scratch: Scratch;
  clock: Clock;
  chance: Chance;
  log?: { error(format: string, ...args: unknown[]): void } | undefined;
}

export interface NvmeTierOptions {
  node: string;
  /** Of this start of the node on this disk: greater than any before. */
  epoch: number;
  capacityBytes: number;
  isWriteThrough?: boolean;
  /** Default a thirty-second of the capacity, from 8 to 256 MiB. */
  segmentBytes?: number;
  /** Default one for each 64 KiB of capacity. */
  entriesMax?: number;
  writeDeadlineMs?: number;
}

/** A local disk as second tier, of segments like those on the shared file system. */
export function createNvmeTier(parts: NvmeTierParts, options: NvmeTierOptions): NvmeTier {
  return new LocalDisk(parts, options);
}

class LocalDisk implements NvmeTier {
  readonly source: BlockSource;
  readonly isWriteThrough: boolean;
  readonly #parts: NvmeTierParts;
  readonly #options: NvmeTierOptions;
  readonly #index: NvmeIndex;
  readonly #segments: SharedTier;
  onRelease: NvmeTier['onRelease'];
  #state: NvmeState = 'off';
  #reason: string | undefined = 'not started';
  #pauseMs = PAUSE_MS_MIN;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #rebuilding: Promise<void> | undefined;

  constructor(parts: NvmeTierParts, options: NvmeTierOptions) {
    const { io, directory, scratch, clock, chance, log } = parts;
    const { node, epoch, capacityBytes } = options;
    this.#parts = parts;
    this.#options = options;
    this.isWriteThrough = options.isWriteThrough ?? false;
    const seed = new DataView(chance.bytes(new Uint8Array(4)).buffer).getUint32(0);
    const entriesMax = options.entriesMax ?? Math.max(ENTRIES_MIN, capacityBytes / ENTRY_BYTES_MEAN);
    this.#index = new NvmeIndex({ directory, seed }, { capacityBytes, entriesMax });
    this.#index.makeRoom = (sizeBytes) => this.#makeRoom(sizeBytes);
    this.#segments = createSharedTier(
      {
        ...{ io, directory: this.#index, scratch, clock, chance, log },
        onWriteFailure: (errno) => this.#pause(errno),
      },
      {
        ...{ node, epoch },
        segmentBytes: options.segmentBytes ?? segmentBytesOf(capacityBytes),
        writeDeadlineMs: options.writeDeadlineMs ?? WRITE_DEADLINE_MS,
        retryPausesMs: [],
      },
    );
    this.source = {
      name: 'nvme',
      tier: 'nvme',
      mayHold: (rows, row) => this.#index.mayHold(rows, row),
      markHeld: (rows, count, holders, bit) => this.#index.markHeld(rows, count, holders, bit),
      load: (rows, count, deadlineMs) => this.#load(rows, count, deadlineMs),
    };
  }

  get status(): NvmeTierFigures {
    const { blocksWritten, bytesWritten, writeFailures, corrupt } = this.#segments.counters;
    const index = this.#index;
    const isPaused = this.#state === 'open' && this.#parts.clock.nowMs() < this.#pausedUntilMs;
    return {
      state: isPaused ? 'paused' : this.#state,
      reason: isPaused || this.#state !== 'open' ? this.#reason : undefined,
      usedBytes: index.segmentsHeld.usedBytes,
      capacityBytes: this.#options.capacityBytes,
      blocks: index.blocks,
      segments: index.segmentsHeld.count,
      indexBytes: index.bytes,
      ...{ blocksWritten, bytesWritten, writeFailures, corrupt },
      segmentsEvicted: index.segmentsEvicted,
      blocksEvicted: index.blocksEvicted,
    };
  }

  get isWriting(): boolean {
    return this.#state === 'open' && this.#parts.clock.nowMs() >= this.#pausedUntilMs;
  }

  start(): void {
    const { io } = this.#parts;
    const before = io.onRelease;
    io.onRelease = (buffer, bufferOffset, length) => {
      before?.(buffer, bufferOffset, length);
      this.onRelease?.(buffer, bufferOffset, length);
    };
    void this.#segments.start();
    this.#state = 'rebuilding';
    this.#reason = 'what is on the disk is being taken in';
    this.#rebuilding = this.#rebuild();
  }

  async stop(deadlineMs: number): Promise<void> {
    if (this.#state === 'off') return;
    this.#state = 'off';
    this.#reason = 'stopped';
    const { clock } = this.#parts;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(deadlineMs, resolve);
      const ended = Promise.allSettled([this.#rebuilding, this.#segments.stop()]);
      void ended.then(() => {
        cancel();
        resolve();
      });
    });
  }

  fits(lengthBytes: number): boolean {
    return lengthBytes <= this.#options.capacityBytes * BLOCK_SHARE_MAX;
  }

  holds(
    namespace: number,
    keys: Uint32Array,
    wordOffset: number,
    segment: number,
    offsetPages: number,
  ): boolean {
    return this.#index.holds(namespace, keys, wordOffset, segment, offsetPages);
  }

  async copy(rows: Uint32Array, count: number): Promise<number> {
    if (!this.isWriting) return 0;
    const { directory, log } = this.#parts;
    const own = new Uint32Array(count * STORE_ROW_WORDS);
    let taken = 0;
    for (let i = 0; i < count; i++) {
      const row = i * STORE_ROW_WORDS;
      const origin = directory.segment(rows[row + STORE_ROW.segment]!);
      if (origin === undefined || origin.state === 'dead') continue;
      if (!this.fits(rows[row + STORE_ROW.lengthBytes]!)) continue;
      const to = taken++ * STORE_ROW_WORDS;
      own.set(rows.subarray(row, row + STORE_ROW_WORDS), to);
      encodeOrigin(own, to + STORE_ROW.parent, origin.id, rows[row + STORE_ROW.offsetPages]!);
    }
    let copied = 0;
    try {
      await this.#segments.store(own, taken, { behind: true });
      for (let i = 0; i < taken; i++) {
        if (own[i * STORE_ROW_WORDS + STORE_ROW.status] !== PUT_STATUS.failed) copied++;
      }
    } catch (error) {
      log?.error('copies for the local disk failed: %s', error);
    }
    if (copied > 0) this.#pauseMs = PAUSE_MS_MIN;
    return copied;
  }

  remove(namespace: number, keys: Uint32Array, count: number): void {
    void this.#index.remove(namespace, keys, count);
    if (this.#state === 'open') void this.#segments.reclaim();
  }

  /** As `BlockSource.load`: rows go out as those of this disk, outcomes come back. */
  async #load(rows: Uint32Array, count: number, deadlineMs: number): Promise<void> {
    const own = new Uint32Array(count * LOAD_ROW_WORDS);
    const indexes = new Int32Array(count);
    let taken = 0;
    for (let i = 0; i < count; i++) {
      const row = i * LOAD_ROW_WORDS;
      rows[row + LOAD_ROW.status] = LOAD_STATUS.gone;
      if (this.#state === 'off') continue;
      if (i === 0 || rows[row + LOAD_ROW.namespace] !== rows[row - LOAD_ROW_WORDS + LOAD_ROW.namespace])
        this.#index.checkNamespace(rows[row + LOAD_ROW.namespace]!);
      if (this.#index.translate(rows, row, own, taken * LOAD_ROW_WORDS)) indexes[taken++] = i;
    }
    if (taken === 0) return;
    await this.#segments.load(own, taken, deadlineMs);
    for (let i = 0; i < taken; i++) {
      const [row, from] = [indexes[i]! * LOAD_ROW_WORDS, i * LOAD_ROW_WORDS];
      const status = own[from + LOAD_ROW.status]!;
      // What is damaged is not here any more: the others have it, and the disk is not taken for slow.
      rows[row + LOAD_ROW.status] = status === LOAD_STATUS.corrupt ? LOAD_STATUS.gone : status;
      if (status !== LOAD_STATUS.done) continue;
      const segment = this.#index.segment(own[from + LOAD_ROW.segment]!);
      if (segment !== undefined) segment.readBytes += own[from + LOAD_ROW.lengthBytes]!;
    }
  }

  async #rebuild(): Promise<void> {
    const { io, clock, scratch, directory, log } = this.#parts;
    const deadlineMs = this.#options.writeDeadlineMs ?? WRITE_DEADLINE_MS;
    try {
      await rebuildIndex(
        { io, clock, scratch, directory, index: this.#index, log },
        { deadlineMs, proceed: () => this.#state === 'rebuilding' },
      );
    } catch (error) {
      if (this.#state !== 'rebuilding') return;
      this.#reason = `its files cannot be listed: ${(error as Error).message}`;
      this.#state = 'off';
      log?.error('the local disk is not used: %s', this.#reason);
      return;
    }
    if (this.#state !== 'rebuilding') return;
    this.#state = 'open';
    this.#reason = undefined;
    await this.#segments.reclaim();
    await this.#makeRoom(0).catch(() => undefined);
  }

  /** Evicts until so many bytes are free, files unlinked; rejects with EBUSY when that cannot be. */
  async #makeRoom(sizeBytes: number): Promise<void> {
    const { segmentsHeld } = this.#index;
    const isRoom = (): boolean => segmentsHeld.hasRoom(sizeBytes);
    for (let evictions = 0; !isRoom() && evictions < EVICTIONS_MAX; evictions++) {
      // What is dead already may be enough.
      await this.#segments.reclaim();
      if (isRoom()) return;
      if (!this.#index.evict()) break;
      await this.#segments.reclaim();
    }
    if (isRoom()) return;
    // Open files of namespaces that nobody writes to any more take room as well.
    void this.#segments.seal();
    throw new RefillError('ERR_STORAGE_FULL', 'the local disk has no room for a new segment', {
      errno: EBUSY,
    });
  }

  /** A write failed: none for a while. Where the disk is full the tier shrinks by one file to what there is. */
  #pause(errno: number): void {
    const { clock, log } = this.#parts;
    if (errno === EBUSY || !this.isWriting) return;
    this.#pausedUntilMs = clock.nowMs() + this.#pauseMs;
    this.#reason = isFull(errno) ? 'the disk is full' : `a write failed (errno ${errno})`;
    log?.error('nothing is copied to the local disk for %d ms: %s', this.#pauseMs, this.#reason);
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * 2);
    if (isFull(errno) && this.#index.evict()) void this.#segments.reclaim();
  }
}

function segmentBytesOf(capacityBytes: number): number {
  const share = Math.floor(capacityBytes / SEGMENTS_MIN / MIB) * MIB;
  return Math.min(SEGMENT_BYTES_MOST, Math.max(SEGMENT_BYTES_MIN, share));
}
