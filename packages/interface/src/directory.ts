import type { Startable } from '@libp2p/interface';
import type { Fingerprint } from './fingerprint.ts';

/** 16 bytes, random: a segment id is used once, ever, also when every counter was lost (rule R1). */
export const SEGMENT_ID_BYTES = 16;

export interface NamespaceRecord {
  /** Small number that stands for the namespace in rows and on one connection; stable in one directory. */
  readonly index: number;
  /** 16 bytes (see `namespaceId`). */
  readonly id: Uint8Array;
  readonly fingerprint: Required<Fingerprint>;
  readonly policy: NamespacePolicy;
  /** Blocks and stored bytes in the shared tier. */
  readonly blocks: number;
  readonly bytes: number;
}

export interface NamespacePolicy {
  /** Try to compress payloads: exponent plane split off, then LZ4; skipped per block when it does not pay. */
  compress: boolean;
}

/**
 * `open`: its one writer incarnation may append. `sealed`: complete, nothing will be written. `abandoned`: the
 * writer met an error or died; what was committed stays readable. `dead`: no live block; waits to be unlinked.
 */
export type SegmentState = 'open' | 'sealed' | 'abandoned' | 'dead';

export interface SegmentRecord {
  /** Index used in rows. Never reused for another segment in the life of this directory. */
  readonly index: number;
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly namespace: number;
  readonly node: string;
  readonly epoch: number;
  readonly sizeBytes: number;
  readonly state: SegmentState;
  /** End of what was written, known once it is no longer open; the whole size where its writer took it along. */
  readonly endBytes: number;
  /** Live blocks and their stored bytes; away from the metadata service as of the last answer that told. */
  readonly liveBlocks: number;
  readonly liveBytes: number;
  /** Commits to it were durable when they were acknowledged: recovery closes it and adds nothing. Known where the database is. */
  readonly durableCommits?: boolean;
}

export interface DirectoryStats {
  blocks: number;
  bytes: number;
  segments: number;
  namespaces: number;
  /** Bytes of memory behind the block index. */
  indexBytes: number;
  /** Blocks that live only in the durable form, beyond the memory budget. */
  blocksBeyondMemory: number;
  /** Damaged files and records met so far; each was passed over and logged. */
  damaged: number;
  engine: string;
}

/**
 * Where blocks are: a cache of the segments. Losing it loses no block (guarantee 4). Lookups answer synchronously
 * while the whole index is in memory and return a promise only when the durable form has to be asked.
 * All arrays are borrowed for the duration of the call (until the promise settles) and never kept.
 */
export interface Directory extends Startable {
  readonly stats: DirectoryStats;
  /** Counts the changes of the catalogue that this side has seen: only grows, and means nothing in another process. */
  readonly version: number;

  /** A new epoch for a node: strictly greater than any that any node of this directory ever had, durable on return. */
  acquireEpoch(node: string): Promise<number>;

  /**
   * Opens or creates a namespace; durable on return. `ERR_FINGERPRINT_MISMATCH` when owner and name exist with
   * another fingerprint; the message names the first differing field.
   */
  openNamespace(fingerprint: Fingerprint, policy?: Partial<NamespacePolicy>): Promise<NamespaceRecord>;
  namespace(index: number): NamespaceRecord | undefined;
  namespaces(): NamespaceRecord[];

  /**
   * Registers a segment as `open` before its file exists; durable on return. `ERR_FENCED` unless `epoch` is the
   * node's current one. `restored`: a rebuild found it on the file system, under an epoch that may be an earlier one.
   * `durableCommits`: every commit to it will be made with `durable`.
   */
  createSegment(segment: {
    id: Uint8Array;
    namespace: number;
    node: string;
    epoch: number;
    sizeBytes: number;
    restored?: boolean;
    durableCommits?: boolean;
  }): Promise<SegmentRecord>;
  /**
   * Compare-and-set of a segment's state; false when it was not in `from`, or when it is to be `dead` and still has
   * live blocks. Durable on return.
   */
  moveSegment(index: number, from: SegmentState, to: SegmentState, endBytes: number): Promise<boolean>;
  /** Forgets a dead segment after its file is gone. */
  forgetSegment(index: number): Promise<void>;
  segment(index: number): SegmentRecord | undefined;
  segmentById(id: Uint8Array): SegmentRecord | undefined;
  segments(): SegmentRecord[];
  /**
   * Segments without a live block, closed or dead, that a node is to reclaim: those of these names, which are its own
   * or were before; in a cluster those that the metadata service names for it, of nodes that are gone too.
   */
  reclaimable(nodes: ReadonlySet<string>): SegmentRecord[];
  /** Whether no other node may still read this dead segment: whoever reclaims it only waits for its own reads. */
  mayUnlink(index: number): boolean;

  /**
   * Fills `count` rows of `LOCATION_ROW_WORDS` for `count` packed keys (words, eight a key). With `certain` the answer is
   * that of who decides, never one remembered: `ERR_METADATA_UNAVAILABLE` when a metadata service does not give it.
   */
  lookup(
    namespace: number,
    keys: Uint32Array,
    count: number,
    rows: Uint32Array,
    options?: { certain?: boolean },
  ): void | Promise<void>;
  /** Length of the longest prefix of `keys` of which every block is present. */
  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number>;

  /**
   * Makes blocks visible: put-if-absent each, provided that their segment is in the directory, written by `node`
   * under `epoch` or (for recovery) an earlier one, and not dead (rule R4). Writes 1 to `accepted[i]` for each that
   * is now the block's location, 0 where another write came first. Rejects with `ERR_FENCED`, changing nothing, when
   * `epoch` is not the node's current one or a segment is not of this node or dead. Visible in memory as soon as
   * the call is made (the bytes are on the disk already); a rejection by the engine leaves that so until a restart.
   * `durable` waits for the durable form; without it a crash is mended by the next recovery from the segments.
   */
  commit(
    node: string,
    epoch: number,
    rows: Uint32Array,
    count: number,
    accepted: Uint8Array,
    options?: { durable?: boolean },
  ): Promise<void>;

  /**
   * Deletes blocks. Returns how many were there. `durable` waits for the durable form, as with `commit`; without it a
   * crash right after may bring them back until recovery has read their tombstones.
   */
  remove(
    namespace: number,
    keys: Uint32Array,
    count: number,
    options?: { durable?: boolean },
  ): Promise<number>;
  /** Deletes a block only if it still lies at this location: for a reader that found it corrupt. */
  removeAt(namespace: number, key: Uint32Array, segment: number, offsetPages: number): Promise<boolean>;
  /**
   * For a reader that found no file at this location. In a cluster the name of another node's file may show late, so only
   * what is remembered of it here goes, and the next lookup asks; of this node's own file, or of a node that is alone, as
   * `removeAt`. Answers whether the directory lost the block.
   */
  removeGone(namespace: number, key: Uint32Array, segment: number, offsetPages: number): Promise<boolean>;

  /** Notes a use of index entries, for recency. Cheap, in memory; saved by `checkpoint`. */
  touch(entries: Uint32Array, count: number): void;
  /** Milliseconds since 1970 of the last use of a block, as remembered (also over restarts), or `undefined`. */
  lastUsedMs(namespace: number, key: Uint32Array): number | undefined;

  /** Drops every block and segment, to be rebuilt from segments. Epochs stay, and namespaces with their indexes. */
  reset(): Promise<void>;
  /** Writes index and recency to the shared file system and lets older checkpoints go. */
  checkpoint(): Promise<void>;
}
