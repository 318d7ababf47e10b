import {
  BLOCK_FLAG,
  type BlockIO,
  type Chance,
  type Clock,
  type Directory,
  IO_BATCH_OPS_MAX,
  invariant,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  PAGE_BYTES,
  PUT_STATUS,
  RefillError,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
} from '@refill/interface';
import {
  type Scratch,
  type SharedTier,
  type SharedTierCounters,
  STORE_ROW,
  STORE_ROW_WORDS,
} from '../shared-tier.ts';
import { fillTarget } from './buried.ts';
import { IoBatches } from './io-batches.ts';
import {
  NamespaceWriter,
  type NamespaceWriterOptions,
  type NamespaceWriterParts,
} from './namespace-writer.ts';
import { OpenFiles } from './open-files.ts';
import type { StoreRequest } from './put-queue.ts';
import { ReadPressure } from './read-pressure.ts';
import { ReadVersions } from './read-versions.ts';
import { reclaimSegments } from './reclaim.ts';
import { ScratchLease } from './scratch-lease.ts';
import { SegmentFolders } from './segment-folders.ts';
import { SegmentReader } from './segment-reader.ts';
import { SpaceBackoff } from './space-backoff.ts';
import { WriteGate } from './write-gate.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export interface SharedTierParts {
  io: BlockIO;
  directory: Directory;
  scratch: Scratch;
  clock: Clock;
  chance: Chance;
  log?: { error(format: string, ...args: unknown[]): void };
}

export interface SharedTierOptions {
  node: string;
  /** From `directory.acquireEpoch`, for this start alone: sequences begin at 1 under it. */
  epoch: number;
  /** Names under which this root was written before and nobody runs now (`recoverSegments` tells): their space is ours. */
  formerNodes?: readonly string[];
  segmentBytes?: number;
  /** Payload bytes of one batch. Default 16 MiB. */
  batchBytes?: number;
  /** Batches of one namespace under way: two being written, others in front of or behind that. Default 4. */
  batchesInFlight?: number;
  /** How long write-behind waits for company. Default 5 ms. */
  patienceMs?: number;
  /** Deadline of one I/O of a write. Default 30 s: a cut network hangs for that long. */
  writeDeadlineMs?: number;
  /**
   * How long blocks wait for `adopt` when the directory says that the epoch is over, before they fail. Default 0: a node
   * that is alone never gets another.
   */
  fencedHoldMs?: number;
  /** Write bytes in flight while nobody reads, and while somebody does. Default 40 MiB and 2 MiB. */
  writeIdleBytes?: number;
  writeYieldingBytes?: number;
  /** Read tasks that the engine is given at once, bytes of one, and bytes of all. Default 16, 8 MiB, 64 MiB. */
  readTasksMax?: number;
  readTaskBytes?: number;
  readInFlightBytes?: number;
  /** Segments held open for reading. Default 256. */
  openFilesMax?: number;
}

/**
 * Segments on the shared file system. Run `recoverSegments` first, with the same epoch: `start` assumes that no
 * segment of an earlier incarnation is open. `start` puts itself in front of `io.onRelease`, so set yours before.
 * @example
 * const tier = createSharedTier({ io, directory, scratch, clock, chance }, { node: 'gpu-17', epoch });
 * await tier.start();
 */
export function createSharedTier(parts: SharedTierParts, options: SharedTierOptions): SharedTier {
  return new Segments(parts, options);
}

class Segments implements SharedTier {
  readonly counters: SharedTierCounters = {
    payloadBytesRead: 0,
    deviceBytesRead: 0,
    runs: 0,
    retries: 0,
    corrupt: 0,
    gone: 0,
    late: 0,
    blocksWritten: 0,
    bytesWritten: 0,
    batches: 0,
    syncs: 0,
    writeFailures: 0,
    segmentsAbandoned: 0,
    backlogBytes: 0,
    compressedBytes: 0,
    compressibleBytes: 0,
  };
  readonly #parts: SharedTierParts;
  #options: NamespaceWriterOptions;
  readonly #writerParts: NamespaceWriterParts;
  readonly #files: OpenFiles;
  readonly #reader: SegmentReader;
  readonly #reads: ReadVersions;
  readonly #writers = new Map<number, NamespaceWriter>();
  readonly #nodes: ReadonlySet<string>;
  #open = false;
  #sequence = 0;
  #reclaiming: Promise<number> | undefined;

  constructor(parts: SharedTierParts, options: SharedTierOptions) {
    this.#parts = parts;
    this.#nodes = new Set([options.node, ...(options.formerNodes ?? [])]);
    const segmentBytes = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT;
    if (
      segmentBytes % PAGE_BYTES !== 0 ||
      segmentBytes < SEGMENT_BYTES_MIN ||
      segmentBytes > SEGMENT_BYTES_MAX
    ) {
      throw new RangeError(
        `segmentBytes must be a multiple of ${PAGE_BYTES} from ${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}, got ${segmentBytes}`,
      );
    }
    this.#options = {
      node: options.node,
      epoch: options.epoch,
      segmentBytes,
      batchBytes: options.batchBytes ?? 16 * MIB,
      batchesInFlight: options.batchesInFlight ?? 4,
      patienceMs: options.patienceMs ?? 5,
      fencedHoldMs: options.fencedHoldMs ?? 0,
      writeDeadlineMs: options.writeDeadlineMs ?? 30_000,
    };
    const { io, directory, clock, chance, scratch } = parts;
    this.#reads = new ReadVersions(() => directory.version);
    const { counters } = this;
    const pressure = new ReadPressure(clock);
    const gate = new WriteGate(pressure, {
      idleBytes: options.writeIdleBytes ?? 40 * MIB,
      yieldingBytes: options.writeYieldingBytes ?? 2 * MIB,
      yieldingSliceBytes: (options.writeYieldingBytes ?? 2 * MIB) / 2,
    });
    this.#files = new OpenFiles(parts, { filesMax: options.openFilesMax ?? 256 });
    this.#reader = new SegmentReader(
      { io, directory, clock, files: this.#files, pressure, counters },
      {
        tasksMax: options.readTasksMax ?? 16,
        taskBytes: options.readTaskBytes ?? 8 * MIB,
        inFlightBytes: options.readInFlightBytes ?? 64 * MIB,
      },
    );
    this.#writerParts = {
      io,
      directory,
      clock,
      chance,
      scratch,
      gate,
      counters,
      lease: new ScratchLease(scratch, clock),
      batches: new IoBatches(IO_BATCH_OPS_MAX),
      space: new SpaceBackoff(clock),
      folders: new SegmentFolders(io),
      fencing: { fenced: false, heldUntilMs: 0 },
      nextSequence: () => ++this.#sequence,
      onSegmentClosed: () => void this.reclaim(),
    };
  }

  start(): void {
    if (this.#open) return;
    this.#open = true;
    const { io } = this.#parts;
    const before = io.onRelease;
    io.onRelease = (buffer, bufferOffset, length) => {
      if (buffer === 0) this.#writerParts.lease.released(bufferOffset);
      before?.(buffer, bufferOffset, length);
    };
    void this.reclaim();
  }

  async stop(): Promise<void> {
    if (!this.#open) return;
    await this.seal();
    this.#open = false;
    this.#reader.stop();
    await this.#reclaiming;
    this.#files.closeAll();
  }

  load(rows: Uint32Array, count: number, deadlineMs: number): Promise<void> {
    this.#assertOpen();
    return this.#reads.during(this.#reader.load(rows, count, deadlineMs));
  }

  get oldestReadVersion(): number {
    return this.#reads.oldest;
  }

  async store(rows: Uint32Array, count: number, options: { behind: boolean }): Promise<void> {
    this.#assertOpen();
    await this.#enqueue(rows, count, 0, !options.behind);
  }

  async remove(namespace: number, keys: Uint32Array, count: number): Promise<number> {
    this.#assertOpen();
    const { directory } = this.#parts;
    const locations = new Uint32Array(count * LOCATION_ROW_WORDS);
    // Certain: what a service that is away cannot tell is not taken for absence, or the removal would say that it was done.
    await directory.lookup(namespace, keys, count, locations, { certain: true });
    // Keys that are not there need no tombstone, unless a put of them may be on its way.
    const all = !(this.#writers.get(namespace)?.idle ?? true);
    const rows = new Uint32Array(count * STORE_ROW_WORDS);
    let written = 0;
    for (let i = 0; i < count; i++) {
      if (!all && locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] === 0) continue;
      const at = written++ * STORE_ROW_WORDS;
      rows.set(keys.subarray(i * 8, i * 8 + 8), at + STORE_ROW.key);
      rows[at + STORE_ROW.namespace] = namespace;
      const segment = directory.segment(locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.segment]!);
      if (locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] === 0 || segment === undefined) continue;
      const page = locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.offsetPages]!;
      fillTarget(rows, at + STORE_ROW.parent, segment.id, page);
    }
    if (written === 0) return 0;
    const request = await this.#enqueue(rows, written, BLOCK_FLAG.tombstone, true);
    let removed = 0;
    for (let i = 0; i < written; i++) {
      const status = rows[i * STORE_ROW_WORDS + STORE_ROW.status];
      if (status === PUT_STATUS.failed) {
        throw (
          request?.failure ?? new RefillError('ERR_STORAGE_FAILED', 'the removal could not be made durable')
        );
      }
      if (status === PUT_STATUS.stored) removed++;
    }
    void this.reclaim();
    return removed;
  }

  async seal(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.seal()));
  }

  adopt(epoch: number): void {
    invariant(epoch > this.#options.epoch, 'L5: an epoch is only ever followed by a greater one');
    this.#options = { ...this.#options, epoch };
    this.#sequence = 0;
    this.#writerParts.fencing.fenced = false;
    for (const writer of this.#writers.values()) writer.adopt(this.#options);
  }

  reclaim(): Promise<number> {
    const { io, directory, clock, log } = this.#parts;
    const { lease, batches } = this.#writerParts;
    this.#reclaiming ??= reclaimSegments(
      { io, directory, lease, batches, clock, files: this.#files },
      { nodes: this.#nodes, deadlineMs: this.#options.writeDeadlineMs, proceed: () => this.#open },
    )
      .catch((error: unknown) => {
        log?.error('space was not reclaimed: %o', error);
        return 0;
      })
      .finally(() => {
        this.#reclaiming = undefined;
      });
    return this.#reclaiming;
  }

  /** Hands rows to the writers of their namespaces, runs of one namespace at a time. */
  #enqueue(
    rows: Uint32Array,
    count: number,
    flags: number,
    urgent: boolean,
  ): Promise<StoreRequest | undefined> {
    if (count === 0) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const request: StoreRequest = { rows, flags, remaining: count, resolve: () => resolve(request) };
      for (let from = 0; from < count; ) {
        const namespace = rows[from * STORE_ROW_WORDS + STORE_ROW.namespace]!;
        let to = from + 1;
        while (to < count && rows[to * STORE_ROW_WORDS + STORE_ROW.namespace] === namespace) to++;
        const rowIndexes = Uint32Array.from({ length: to - from }, (_, i) => from + i);
        this.#writer(namespace).add(request, rowIndexes, urgent);
        from = to;
      }
    });
  }

  #writer(namespace: number): NamespaceWriter {
    let writer = this.#writers.get(namespace);
    if (writer === undefined) {
      const record = this.#parts.directory.namespace(namespace);
      if (record === undefined)
        throw new RefillError('ERR_NAMESPACE_UNKNOWN', `namespace ${namespace} is unknown`);
      writer = new NamespaceWriter(this.#writerParts, this.#options, record);
      this.#writers.set(namespace, writer);
    }
    return writer;
  }

  #assertOpen(): void {
    if (!this.#open) throw new RefillError('ERR_NODE_CLOSED', 'the shared tier is not started');
  }
}
