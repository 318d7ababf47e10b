import type { NvmeState } from '@refill/interface';
import type { BlockSource } from '../source/block-source.ts';

/**
 * A second tier on a local disk: copies of blocks that are on the shared file system, and nothing but copies. Losing
 * it costs time. No call of it fails for the sake of the disk: it serves less, and says why.
 */
export interface NvmeTier {
  /** Reads blocks whose copy is of the very location that their row names; anything else is `gone`. */
  readonly source: BlockSource;
  /** `write-through`: blocks are copied once they are stored. Else only when they leave DRAM. */
  readonly isWriteThrough: boolean;
  readonly status: NvmeTierFigures;
  /** What is late here, as of `BlockIO.onRelease`: set before `start`. */
  onRelease: ((buffer: number, bufferOffset: number, length: number) => void) | undefined;

  /** Settles at once; what earlier starts left is taken in beside. */
  start(): void;
  /** Ends writing, as far as that takes at most `deadlineMs`. */
  stop(deadlineMs: number): Promise<void>;
  /** Whether blocks are taken just now. */
  readonly isWriting: boolean;
  /** Whether a block of this length may be copied here. */
  fits(lengthBytes: number): boolean;
  /** Whether the copy of a block is here; by key at `keys[wordOffset ..]` and the location of its bytes. */
  holds(
    namespace: number,
    keys: Uint32Array,
    wordOffset: number,
    segment: number,
    offsetPages: number,
  ): boolean;
  /**
   * Copies blocks (`STORE_ROW`, whose `segment` and `offsetPages` say where their bytes are stored) and settles when
   * their memory is not needed any more. Answers how many are here now. Never rejects.
   */
  copy(rows: Uint32Array, count: number): Promise<number>;
  /** Drops copies. That those of deleted blocks are not served does not hang on it. */
  remove(namespace: number, keys: Uint32Array, count: number): void;
}

/** What a status tells of the tier besides its hits. */
export interface NvmeTierFigures {
  state: NvmeState;
  /** Why it is not `open`. */
  reason: string | undefined;
  usedBytes: number;
  capacityBytes: number;
  blocks: number;
  segments: number;
  indexBytes: number;
  blocksWritten: number;
  bytesWritten: number;
  writeFailures: number;
  /** Blocks whose copy did not verify and was dropped. */
  corrupt: number;
  /** Segments that made room for others, and blocks that went with them. */
  segmentsEvicted: number;
  blocksEvicted: number;
}
