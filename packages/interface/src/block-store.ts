import type { AbortOptions } from '@libp2p/interface';
import type { NamespacePolicy } from './directory.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Key } from './key.ts';
import type { DrainStatus, NodeStatus } from './node.ts';
import type { PutHints } from './put-hints.ts';
import type { Durability } from './rows.ts';
import type { BlockLookup, FillLease, NodeResidency, ReadAdvice, ReadExplanation } from './sharing.ts';

/** `signal` aborts the wait; `deadlineMs` bounds it (default 5,000). Whichever comes first. */
export interface CallOptions extends AbortOptions {
  deadlineMs?: number;
}

export interface PutOptions extends CallOptions, PutHints {
  /** `memory` (default): may be lost with the node, written behind. `shared`: survives any node and service. */
  durability?: Durability;
}

/** What a put says about one block besides its bytes. */
export interface BlockInfo {
  key: Key;
  /** Key of the block before it in the prompt; absent for the first. */
  parent?: Key;
  /** Tokens of the block; default the namespace's tokens a block. */
  tokens?: number;
  /** Groups the blocks of one chunk over all ranks; default 0. */
  family?: number;
  /** Rank of this block in its family; default 0. */
  shard?: number;
}

/**
 * `exists`: another put of the key came first. Of durability it says as much as was asked for: with `shared` the block
 * is on the shared file system (a put waits for it), with `memory` it may so far be in the node's memory only.
 */
export type PutOutcome = 'stored' | 'exists' | 'noRoom' | 'failed' | 'late';

/** Why a key is not in the answer; all read as a miss. */
export type MissReason = 'miss' | 'late' | 'noRoom' | 'corrupt' | 'tooLong' | 'failed';

/**
 * A block in the arena, without a copy. `bytes` is valid until `release` (or the end of a `using` scope); it is
 * mapped for reading only: writing to it ends the process. Release promptly: a view keeps its slot from eviction.
 */
export interface BlockView extends Disposable {
  readonly bytes: Uint8Array;
  readonly tokens: number;
  release(): void;
}

/** Answer to `getMany`: one entry a key, `undefined` for a miss. Releasing it releases every view. */
export interface BlockViews extends Disposable {
  readonly views: readonly (BlockView | undefined)[];
  readonly hits: number;
  /** Reason for the miss at an index, `undefined` for a hit. */
  missReason(index: number): MissReason | undefined;
  release(): void;
}

/** Room in the arena for one block. Write `bytes` whole, then commit; abort (or dispose) otherwise. */
export interface Reservation extends Disposable {
  readonly bytes: Uint8Array;
  commit(options?: PutOptions): Promise<PutOutcome>;
  abort(): void;
}

/** Memory of the client to which and from which blocks move without a copy. */
export interface Region extends AsyncDisposable {
  readonly sizeBytes: number;
  unregister(): Promise<void>;
}

/** A place in a region: where a block lies, or where it shall go and how much room is there. */
export interface RegionPlace {
  offsetBytes: number;
  lengthBytes: number;
}

/** Outcome of one key of `getInto`: its length, or why not. */
export type IntoOutcome = { lengthBytes: number; tokens: number } | MissReason;

export interface BlockNamespace {
  readonly fingerprint: Required<Fingerprint>;

  /** Copies `bytes` into the arena and commits. Immutable: when the key exists nothing changes and it answers `exists`. */
  put(block: BlockInfo, bytes: Uint8Array, options?: PutOptions): Promise<PutOutcome>;
  putMany(
    blocks: readonly (BlockInfo & { bytes: Uint8Array })[],
    options?: PutOptions,
  ): Promise<PutOutcome[]>;
  /** Puts out of a registered region, without a copy when durability is `shared`. */
  putFrom(
    region: Region,
    blocks: readonly (BlockInfo & RegionPlace)[],
    options?: PutOptions,
  ): Promise<PutOutcome[]>;
  /**
   * Room to write into. `undefined` when the key exists, which says nothing of durability: `flush` does. Rejects with
   * `ERR_ARENA_FULL` when there is no room.
   */
  reserve(block: BlockInfo, lengthBytes: number, options?: CallOptions): Promise<Reservation | undefined>;
  reserveMany(
    blocks: readonly (BlockInfo & { lengthBytes: number })[],
    options?: CallOptions,
  ): Promise<(Reservation | undefined)[]>;

  /** The block, or `undefined`. Never rejects because a block is missing, damaged or late. */
  get(key: Key, options?: CallOptions): Promise<BlockView | undefined>;
  /** Keys as a list or packed, 32 bytes each. */
  getMany(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<BlockViews>;
  /** Reads straight into a registered region. */
  getInto(
    region: Region,
    keys: readonly Key[] | Uint8Array,
    places: readonly RegionPlace[],
    options?: CallOptions,
  ): Promise<IntoOutcome[]>;

  /** Number of leading keys that are present. */
  matchPrefix(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<number>;
  exists(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<boolean[]>;
  /** Starts reading into DRAM; answers how many blocks will be read. */
  prefetch(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<number>;
  /** Keeps blocks in DRAM until `unpin` or the end of the connection; answers how many are. */
  pin(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<number>;
  unpin(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<number>;
  touch(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<void>;
  /** Deletes from every tier; a rebuild does not bring them back. */
  delete(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<number>;

  /** For each key its tier, length, tokens, and when it and those before it could be in DRAM. Reads nothing. */
  lookup(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<BlockLookup[]>;
  /**
   * Whether to load the blocks of a prompt, to compute them, or to load the first and compute the rest. Model: one
   * after the other, `readyMs` of the last block loaded plus the tokens after it at `prefillTokensPerSecond`, a
   * constant rate; of equal sums the one that loads more. Keys that are missing count `tokensPerBlock` tokens, whatever
   * comes after the first of them is computed. `RangeError` unless the rate is a number above 0.
   */
  advise(
    keys: readonly Key[] | Uint8Array,
    options: CallOptions & { prefillTokensPerSecond: number },
  ): Promise<ReadAdvice>;
  /**
   * Nodes by how much of the keys they hold in DRAM, best first: longest prefix, then most blocks. The node itself is
   * among them as it is now, others as the metadata service last heard, a heartbeat ago. At most `limit` (default 16,
   * at most 64). Rejects with `ERR_METADATA_UNAVAILABLE` when the service is away.
   */
  locate(
    keys: readonly Key[] | Uint8Array,
    options?: CallOptions & { limit?: number },
  ): Promise<NodeResidency[]>;
  /** How a read of the keys would be carried out now, and by which figures. Reads nothing. */
  explain(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<ReadExplanation>;

  /**
   * Takes the fill lease of every key that is neither there nor leased, for `lifeMs` (default 30,000, at most 120,000).
   * Each call is a holder of its own: of two calls, also on one connection, one is granted a key. A lease excludes no
   * put; it only tells who computes. Rejects with `ERR_LIMIT` when the node holds too many leases, and with
   * `ERR_METADATA_UNAVAILABLE`: then compute without one.
   */
  acquireFill(
    keys: readonly Key[] | Uint8Array,
    options?: CallOptions & { lifeMs?: number },
  ): Promise<FillLease>;
  /** Settles when no key is leased any more, or at the deadline, which is no error. Answers how many keys are there. */
  awaitFill(keys: readonly Key[] | Uint8Array, options?: CallOptions): Promise<number>;
}

/** The SDK's face: the same for a node behind a socket and one embedded in the process. */
export interface BlockStore extends AsyncDisposable {
  namespace(
    fingerprint: Fingerprint,
    options?: CallOptions & { policy?: Partial<NamespacePolicy> },
  ): Promise<BlockNamespace>;
  /** Settles when everything put before is on the shared file system. Rejects with `ERR_STORAGE_FAILED` when some is not. */
  flush(options?: CallOptions): Promise<void>;
  /** Registers a shared-memory file by path or open descriptor. */
  registerRegion(
    source: { path: string } | { fd: number },
    sizeBytes: number,
    options?: CallOptions,
  ): Promise<Region>;
  status(options?: CallOptions): Promise<NodeStatus>;
  /**
   * The node leaves without losing anything: see `StoreNode.drain`. `hotBytes` (default 1 GiB, 0 for none) bounds what
   * other nodes are asked to hold. Settles at the deadline at the latest, with `isComplete` false: ask again. Unless
   * `stay`, the node ends once it is complete.
   */
  drain(options?: CallOptions & { hotBytes?: number; stay?: boolean }): Promise<DrainStatus>;
  close(): Promise<void>;
}
