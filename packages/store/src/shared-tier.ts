import type { Startable } from '@libp2p/interface';

/**
 * The shared tier: segments on the file system that every node mounts. What the node's control flow knows of it:
 * blocks go in from memory and come back into memory; batches, runs, retries and recovery are its own business.
 */
export interface SharedTier extends Startable {
  /**
   * Reads `count` blocks (`LOAD_ROW`) into memory and settles when each is done or given up; outcomes are in the
   * rows. Bytes arrive verified and, where stored compressed, expanded. A row that is `late` leaves its memory
   * quarantined until `BlockIO.onRelease`: it must not be used or freed before. A block found corrupt or gone was
   * removed from the directory. A row with a source is copied from that memory if it is, verified, what the location
   * says, and read from the segment if not. Never rejects for the sake of a block.
   */
  load(rows: Uint32Array, count: number, deadlineMs: number): Promise<void>;
  /**
   * Appends blocks (`STORE_ROW`) to segments and settles when each is durable and visible in the directory, or
   * failed; outcomes (`PUT_STATUS`) are in the rows. Memory is borrowed until then. `behind` marks work that nobody
   * waits for: it yields to reads and is batched more patiently.
   */
  store(rows: Uint32Array, count: number, options: { behind: boolean }): Promise<void>;
  /** Writes tombstones and removes the keys from the directory; durable when it settles. Answers how many were there. */
  remove(namespace: number, keys: Uint32Array, count: number): Promise<number>;
  /** Seals open segments and writes their footers. Part of `stop`. */
  seal(): Promise<void>;
  /**
   * Goes on under a new epoch after the lease of the one before was lost: open segments are abandoned, what was not
   * committed is written again, sequences begin at 1. `epoch` is greater than any before.
   */
  adopt(epoch: number): void;
  /** Unlinks segments that hold no live block. Answers how many. Runs by itself after removals and roll-overs. */
  reclaim(): Promise<number>;
  /** Version of the directory on which reads in flight rely at least: what other nodes wait for before they unlink. */
  readonly oldestReadVersion: number;
  readonly counters: SharedTierCounters;
}

export interface SharedTierCounters {
  /** Payload bytes asked for, and bytes moved by the device for them: their ratio is the read amplification. */
  payloadBytesRead: number;
  deviceBytesRead: number;
  /** Reads issued after merging adjacent blocks. */
  runs: number;
  retries: number;
  corrupt: number;
  gone: number;
  late: number;
  blocksWritten: number;
  bytesWritten: number;
  batches: number;
  syncs: number;
  writeFailures: number;
  segmentsAbandoned: number;
  /** Bytes accepted and not yet durable. */
  backlogBytes: number;
  compressedBytes: number;
  compressibleBytes: number;
}

/** Memory for headers, footers and expanded payloads, cut from the arena; 4 KiB-aligned. */
export interface Scratch {
  allocate(lengthBytes: number): { offset: number; bytes: Uint8Array } | undefined;
  free(offset: number): void;
}

/**
 * One block to read: its location as the directory gave it, and where it shall go. `segment` is `SEGMENT_NONE` for a
 * block that is only in the memory of its holders (as in `LOCATION_ROW`).
 */
export const LOAD_ROW_WORDS = 26;
export const LOAD_ROW = {
  key: 0,
  namespace: 8,
  segment: 9,
  offsetPages: 10,
  lengthBytes: 11,
  storedBytes: 12,
  checksumLo: 13,
  checksumHi: 14,
  flags: 15,
  buffer: 16,
  bufferOffsetLo: 17,
  bufferOffsetHi: 18,
  /** Out: `LOAD_STATUS`. */
  status: 19,
  /** Other memory that may hold the block already, as it is stored; buffer 0 for none. */
  sourceBuffer: 20,
  sourceOffsetLo: 21,
  sourceOffsetHi: 22,
  holdersLo: 23,
  holdersHi: 24,
  /** Out, of a block that is `done`: the tier it came from, as `LOOKUP_TIER`. Filled by `ReadSources`. */
  tier: 25,
} as const;
export const SEGMENT_NONE = 0xffffffff;

export const LOAD_STATUS = {
  pending: 0,
  done: 1,
  late: 2,
  corrupt: 3,
  gone: 4,
  failed: 5,
} as const;

/** One block to append: what the put said and where its payload lies. */
export const STORE_ROW_WORDS = 27;
export const STORE_ROW = {
  key: 0,
  parent: 8,
  namespace: 16,
  lengthBytes: 17,
  tokens: 18,
  family: 19,
  shard: 20,
  buffer: 21,
  bufferOffsetLo: 22,
  bufferOffsetHi: 23,
  /** Out: `PUT_STATUS`. */
  status: 24,
  /** Out, of a block that is `stored`: where it lies, by the directory's index of the segment. */
  segment: 25,
  offsetPages: 26,
} as const;
