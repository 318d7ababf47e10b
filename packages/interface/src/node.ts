import type { Startable } from '@libp2p/interface';
import type { DirectoryStats, NamespacePolicy, NamespaceRecord } from './directory.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { IoCounters, IoReport } from './io.ts';
import type { PutHints } from './put-hints.ts';
import type { Durability } from './rows.ts';
import type { NodeResidency, ReadExplanation, ReadSource } from './sharing.ts';

/** Handle of something that belongs to a session: a slot, a region. */
export type SlotId = number;
export type RegionId = number;
/** Handle of what one `acquireFill` was granted; never 0. */
export type FillId = number;

/** A store node: everything behind its socket. The server speaks frames and calls this; tests call it directly. */
export interface StoreNode extends Startable {
  readonly nodeName: string;
  readonly clusterId: string;
  /** A session owns reservations, pins and regions; closing it returns them all. */
  openSession(): NodeSession;
  status(): NodeStatus;
  /**
   * Leaves without losing anything: no more puts and fill leases; what was put is stored; other nodes are asked to hold
   * the hottest blocks, at most `hotBytes`. Settles when all of it is done or at the deadline; asked again it goes on.
   * Reads are answered on. Unless `stay`, `onDrained` is called once it is complete.
   */
  drain(options: { hotBytes: number; deadlineMs: number; stay?: boolean }): Promise<DrainStatus>;
  /** Called when a drain is complete after which the node shall end. Set by whoever started it. */
  onDrained: (() => void) | undefined;
}

/**
 * What one client may ask. Arrays are borrowed until the call returns or its promise settles. Calls answer without
 * a promise when DRAM and the index in memory suffice. `keys` are packed words, eight a key. `deadlineMs` is relative
 * to the call. Rows are laid out in `rows.ts`. Argument errors throw `RefillError` before anything is done.
 */
export interface NodeSession {
  openNamespace(fingerprint: Fingerprint, policy?: Partial<NamespacePolicy>): Promise<NamespaceRecord>;

  /**
   * Reserves arena room for `count` puts (`PUT_ROW`), answers `RESERVE_ROW`s. The caller writes the payload into the
   * slot and commits. The keys are taken for this session until commit or abort: another `reserve` of one reads `exists`.
   * `exists` is no promise of durability, for that is not known here: a caller who needs it asks `awaitStored`.
   */
  reserve(namespace: number, puts: Uint32Array, count: number, rows: Uint32Array): void | Promise<void>;
  /**
   * Makes reserved slots visible, all in one durability. Fills `PUT_STATUS` for each. With `shared` it settles when
   * the blocks are durable on the shared file system and in the index, or at the deadline. With `memory` it settles at
   * once; write-behind carries the blocks to the shared file system later. Hints are of all the blocks.
   */
  commit(
    slots: Uint32Array,
    count: number,
    durability: Durability,
    deadlineMs: number,
    statuses: Uint32Array,
    hints?: PutHints,
  ): void | Promise<void>;
  /** Ends the pins that a `commit` with the hint `pin` made, of those slots that have one. */
  unpinSlots(slots: Uint32Array, count: number): void;
  /**
   * Waits until blocks that exist are durable, and makes their write-behind hurry. Fills `PUT_STATUS` for each key:
   * `exists` once it is on the shared file system, `failed` when it is not there and nobody stores it (any more: put it
   * again), `late` when it is still on its way at the deadline.
   */
  awaitStored(
    namespace: number,
    keys: Uint32Array,
    count: number,
    deadlineMs: number,
    statuses: Uint32Array,
  ): void | Promise<void>;
  /** Gives reservations back unwritten. */
  abort(slots: Uint32Array, count: number): void;

  /**
   * Puts from a registered region without a copy (`shared`) or through the arena (`memory`): `places` are
   * `REGION_ROW`s. The region's bytes must not change until it settles. With `shared`, `exists` is answered only for
   * what is durable.
   */
  putFrom(
    namespace: number,
    region: RegionId,
    puts: Uint32Array,
    places: Uint32Array,
    count: number,
    durability: Durability,
    deadlineMs: number,
    statuses: Uint32Array,
    hints?: PutHints,
  ): void | Promise<void>;

  /** Reads into the arena: fills `READ_ROW`s; every hit is pinned until `release`. */
  get(
    namespace: number,
    keys: Uint32Array,
    count: number,
    deadlineMs: number,
    rows: Uint32Array,
  ): void | Promise<void>;
  /** Reads straight into a registered region; nothing stays pinned. `places` are `REGION_ROW`s. */
  getInto(
    namespace: number,
    region: RegionId,
    keys: Uint32Array,
    places: Uint32Array,
    count: number,
    deadlineMs: number,
    rows: Uint32Array,
  ): void | Promise<void>;
  /** Gives pins back. A slot pinned n times is released n times. */
  release(slots: Uint32Array, count: number): void;

  /** Length of the longest prefix of `keys` that is present, in DRAM or shared. */
  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number>;
  /** 1 for every key that is present. */
  exists(namespace: number, keys: Uint32Array, count: number, present: Uint8Array): void | Promise<void>;
  /** Fills `LOOKUP_ROW`s: where each block is and when it could be in DRAM. Reads nothing, counts as no use. */
  lookup(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void | Promise<void>;
  /**
   * Nodes by how much of the keys they hold in DRAM, best first, this one included, at most `limit`. Without a cluster
   * it is this one. Rejects with `ERR_METADATA_UNAVAILABLE`, `ERR_DEADLINE`.
   */
  locate(
    namespace: number,
    keys: Uint32Array,
    count: number,
    limit: number,
    deadlineMs: number,
  ): NodeResidency[] | Promise<NodeResidency[]>;
  /** What a read of the keys would take from where, by the figures as they are now. */
  explain(namespace: number, keys: Uint32Array, count: number): ReadExplanation | Promise<ReadExplanation>;
  /**
   * Takes the fill leases of those keys that are neither present nor leased, and fills `FILL_ROW`s. Answers a handle for
   * `releaseFill`. Leases end by `lifeMs` (0: the default), by the put of their key, `releaseFill`, or with the session.
   * `ERR_LIMIT`, `ERR_METADATA_UNAVAILABLE`, `ERR_DEADLINE`: then nothing was taken.
   */
  acquireFill(
    namespace: number,
    keys: Uint32Array,
    count: number,
    lifeMs: number,
    deadlineMs: number,
    rows: Uint32Array,
  ): Promise<FillId>;
  /** Settles when no key is leased, or at the deadline; answers how many are present. */
  awaitFill(namespace: number, keys: Uint32Array, count: number, deadlineMs: number): Promise<number>;
  /** Gives leases back. No error for a handle whose leases have ended. */
  releaseFill(fill: FillId): void;

  /** Starts reading what is not in DRAM; answers how many will be read. Does not wait, pins nothing. */
  prefetch(namespace: number, keys: Uint32Array, count: number): number | Promise<number>;
  /** As `get` without handing out rows: keeps blocks in DRAM until `unpin` or the end of the session. Answers how many. */
  pin(namespace: number, keys: Uint32Array, count: number, deadlineMs: number): number | Promise<number>;
  unpin(namespace: number, keys: Uint32Array, count: number): number;
  /** Notes a use, for eviction. */
  touch(namespace: number, keys: Uint32Array, count: number): void;
  /** Deletes from every tier, durably: a rebuild does not bring them back. Answers how many were there. */
  delete(namespace: number, keys: Uint32Array, count: number, deadlineMs: number): Promise<number>;
  /**
   * Settles when everything committed before is on the shared file system, or failed; stores that failed earlier are
   * tried once more. Answers how many blocks of this node are not: those only in memory, plus those lost since this
   * session last asked. 0 means durable.
   */
  flush(deadlineMs: number): Promise<number>;

  /** Maps a shared-memory file of the client, by path or by an fd that it has passed. */
  registerRegion(source: { path: string } | { fd: number }, sizeBytes: number): Promise<RegionId>;
  /** Settles when no I/O uses it any more. */
  unregisterRegion(region: RegionId): Promise<void>;

  /** Aborts reservations, drops pins, regions and fill leases. Idempotent. I/O in flight keeps its buffers until it is done. */
  close(): void;
}

/** Distribution of latencies in microseconds. */
export interface LatencySummary {
  count: number;
  p50Us: number;
  p99Us: number;
}

export interface TierStatus {
  hits: number;
  bytes: number;
  latency: LatencySummary;
}

/**
 * `rebuilding`: what earlier starts left on the disk is being taken in; it is read from meanwhile, and nothing is copied.
 * `paused`: a write failed, none is tried for a while. `off`: the disk is not used.
 */
export type NvmeState = 'rebuilding' | 'open' | 'paused' | 'off';

/** The second tier on a local disk: copies of blocks that are on the shared file system. */
export interface NvmeStatus extends TierStatus {
  state: NvmeState;
  /** Why it is not `open`. */
  reason?: string | undefined;
  /** Bytes on the disk, files that are being written counted whole. */
  usedBytes: number;
  capacityBytes: number;
  blocks: number;
  segments: number;
  /** Memory behind its index. */
  indexBytes: number;
  blocksWritten: number;
  bytesWritten: number;
  writeFailures: number;
  /** Bytes on their way to the disk. */
  backlogBytes: number;
  /** Blocks that left DRAM without a copy that they were due, because the disk was slow, paused or not ready. */
  dropped: number;
  /** Blocks whose copy did not verify: dropped, and read from elsewhere. */
  corrupt: number;
  /** Files that made room for others, and the blocks that went with them. */
  segmentsEvicted: number;
  blocksEvicted: number;
}

/** Counters since the start; the same names are used by the CLI, the wire and the metrics. */
export interface NodeStatus {
  nodeName: string;
  clusterId: string;
  root: string;
  version: string;
  epoch: number;
  uptimeMs: number;
  sessions: number;
  io: IoReport & IoCounters;
  arena: {
    bytes: number;
    usedBytes: number;
    pinnedBytes: number;
    blocks: number;
    evictions: number;
    quarantinedBytes: number;
  };
  /** Reads by where the bytes came from; `nvme` is there where a local disk is configured. */
  tiers: { dram: TierStatus; nvme?: NvmeStatus | undefined; peer: TierStatus; shared: TierStatus };
  reads: {
    keys: number;
    misses: number;
    late: number;
    corrupt: number;
    singleFlightJoins: number;
    payloadBytes: number;
    deviceBytes: number;
    runs: number;
  };
  writes: {
    blocks: number;
    bytes: number;
    batches: number;
    syncs: number;
    failures: number;
    backlogBytes: number;
    segmentsAbandoned: number;
    compressedBytes: number;
    compressibleBytes: number;
  };
  directory: DirectoryStats;
  hints: HintCounters;
  /** How far it has left; absent unless it is leaving. */
  drain?: DrainStatus;
  /** Where blocks that are not in DRAM are read from, as measured; only those that were asked so far. */
  sources: ReadSource[];
  /** Absent for a node that is alone. */
  cluster?: ClusterStatus;
}

/** What became of the hints of puts, and of what other nodes asked this one to hold. Blocks, unless it says otherwise. */
export interface HintCounters {
  /** Pinned by a put; and those that would have exceeded the pins of a session. */
  pinned: number;
  pinsRefused: number;
  /** That have a life now; whose life has ended; for which there was no room among those. */
  withLife: number;
  expired: number;
  livesRefused: number;
  /** That others were asked to hold; that they hold since; that were never asked for: no such node, or too much to do. */
  offered: number;
  placed: number;
  unplaced: number;
  /** That others asked this node to hold, those that it holds since, and those refused for want of memory. */
  holdsAsked: number;
  held: number;
  holdsRefused: number;
}

/** How far a node is on its way out. */
export interface DrainStatus {
  phase: 'flushing' | 'handing' | 'done';
  /** Everything was done: nothing of it is lost when the node ends. */
  isComplete: boolean;
  /** Not on the shared file system yet; only here after their store failed. */
  backlogBytes: number;
  unstoredBlocks: number;
  /** Reservations of clients that are neither committed nor aborted. */
  reservations: number;
  /** Chosen to be handed over; held by others since; that nobody took. */
  hotBlocks: number;
  hotBytes: number;
  heldBlocks: number;
  heldBytes: number;
  refusedBlocks: number;
  /** Who took how much. */
  holders: { node: string; blocks: number }[];
}

export interface ClusterStatus {
  lease: { epoch: number; isHeld: boolean };
  /** `away`: it did not answer last. Reads go on from what this node knows, writes wait. */
  service: 'serving' | 'away';
  members: { node: string; peer: string; epoch: number; state: 'live' | 'draining'; dataAddress: string }[];
}
