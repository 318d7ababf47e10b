/**
 * Rows of 32-bit words: how descriptions of many blocks cross borders without an object a block. The same rows are
 * the bodies of wire frames (little-endian), so the server answers by filling the frame itself.
 */

/** What became of one key of a read. `hit` is 1; everything else reads as a miss to an engine. */
export const ROW_STATUS = {
  miss: 0,
  hit: 1,
  /** Not back before the deadline. */
  late: 2,
  /** No room in the arena for it. */
  noRoom: 3,
  /** Stored bytes failed verification; the block was dropped. */
  corrupt: 4,
  /** The block is larger than the room given for it in the region. */
  tooLong: 5,
  /** The file system failed the read. */
  failed: 6,
} as const;

/** Result row of a read: `status, slot, pane, offsetBytes, lengthBytes, tokens`. `slot` is the handle to release. */
export const READ_ROW_WORDS = 6;
export const READ_ROW = { status: 0, slot: 1, pane: 2, offsetBytes: 3, lengthBytes: 4, tokens: 5 } as const;

/** The tier that a block would be read from, as `lookup` tells it. `miss` is 0. */
export const LOOKUP_TIER = { miss: 0, dram: 1, nvme: 2, peer: 3, shared: 4 } as const;

/**
 * Answer to one key of `lookup`: `tier, lengthBytes, tokens, readyUs`. `readyUs` is the estimate, of bandwidth and
 * queue as measured now, of the microseconds until this block and all before it in the call would be in DRAM: it never
 * falls along the rows, a hit in DRAM and a miss add nothing to it. It ends at 4,294,967,295.
 */
export const LOOKUP_ROW_WORDS = 4;
export const LOOKUP_ROW = { tier: 0, lengthBytes: 1, tokens: 2, readyUs: 3 } as const;

/** Where a block of a region read or write lies: `offsetLo, offsetHi, lengthBytes` (room for it). */
export const REGION_ROW_WORDS = 3;
export const REGION_ROW = { offsetLo: 0, offsetHi: 1, lengthBytes: 2 } as const;

/** What a put says about one block: key, parent (zeros for a root), length, tokens, family, shard. */
export const PUT_ROW_WORDS = 20;
export const PUT_ROW = { key: 0, parent: 8, lengthBytes: 16, tokens: 17, family: 18, shard: 19 } as const;

/** Answer to a reservation: `status, slot, pane, offsetBytes`. With `exists`, `slot` is a `RESERVE_EXISTS`. */
export const RESERVE_ROW_WORDS = 4;
export const RESERVE_ROW = { status: 0, slot: 1, pane: 2, offsetBytes: 3 } as const;

export const RESERVE_STATUS = {
  /** Room is reserved; write the payload there, then commit. */
  reserved: 0,
  /**
   * The block exists (or another put of it is under way): nothing to do, first complete write wins. Says nothing of
   * durability: see `RESERVE_EXISTS`, and wait by `awaitStored` or `flush`.
   */
  exists: 1,
  /** No room in the arena even after eviction. */
  noRoom: 2,
} as const;

/** What `exists` means for durability, at the time of the answer. */
export const RESERVE_EXISTS = {
  /** On the shared file system. */
  stored: 0,
  /** So far only in the memory of this node, or not even complete. */
  unstored: 1,
} as const;

/** Outcome of one block of a put. */
export const PUT_STATUS = {
  stored: 0,
  /** Somebody else's put came first. With durability `shared` it is durable; with `memory` it may not be yet. */
  exists: 1,
  noRoom: 2,
  /** The shared file system refused it; with durability `memory` it may still be served from DRAM. */
  failed: 3,
  /** Not durable before the deadline; it may still become so. */
  late: 4,
} as const;

/** Durability of a put: `memory` may be lost with its node, `shared` survives any node and service. */
export const DURABILITY = { memory: 0, shared: 1 } as const;
export type Durability = keyof typeof DURABILITY;

/**
 * Location of one block: `found, segment, offsetPages, lengthBytes, storedBytes, checksumLo, checksumHi, tokens,
 * flags, entry, holdersLo, holdersHi`. `segment` is the directory's index of the segment; `storedBytes` differs from
 * `lengthBytes` only for compressed payloads; `entry` is the directory's handle for `touch`, `ENTRY_NONE` when not in
 * memory; the holders are up to four nodes that have the block in DRAM, by slot (`ClusterMember`), 16 bits each, 0 for
 * none: a hint. `found` is 0 for a block that is only in some node's DRAM.
 */
export const LOCATION_ROW_WORDS = 12;
export const LOCATION_ROW = {
  found: 0,
  segment: 1,
  offsetPages: 2,
  lengthBytes: 3,
  storedBytes: 4,
  checksumLo: 5,
  checksumHi: 6,
  tokens: 7,
  flags: 8,
  entry: 9,
  holdersLo: 10,
  holdersHi: 11,
} as const;
export const ENTRY_NONE = 0xffffffff;

/** Flags of a stored block, the same in segments, index and rows. */
export const BLOCK_FLAG = {
  /** The payload is compressed (exponent plane split off, LZ4); checksum is over the stored form. */
  compressed: 1,
  /** No payload: the key is deleted as of this batch. */
  tombstone: 2,
} as const;

/**
 * A record to commit: key, parent, namespace, segment, offsetPages, lengthBytes, storedBytes, checksumLo,
 * checksumHi, tokens, family, shard, flags.
 */
export const COMMIT_ROW_WORDS = 27;
export const COMMIT_ROW = {
  key: 0,
  parent: 8,
  namespace: 16,
  segment: 17,
  offsetPages: 18,
  lengthBytes: 19,
  storedBytes: 20,
  checksumLo: 21,
  checksumHi: 22,
  tokens: 23,
  family: 24,
  shard: 25,
  flags: 26,
} as const;
