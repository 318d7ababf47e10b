import type { LOOKUP_TIER } from './rows.ts';

/** Where the bytes of a block would come from; `miss`: from nowhere. */
export type BlockTier = keyof typeof LOOKUP_TIER;

/** What a lookup says of one key. */
export interface BlockLookup {
  tier: BlockTier;
  /** 0 for a miss, as `tokens`. */
  lengthBytes: number;
  tokens: number;
  /**
   * Estimated milliseconds until this block and all before it in the call would be in the node's DRAM, from bandwidth
   * and queue as measured now. Never less than that of the key before; a miss adds nothing. An estimate, no promise.
   */
  readyMs: number;
}

/** Whether to load the blocks of a prompt or to compute them, and what either takes. */
export interface ReadAdvice {
  /** `load`: every block that is there without a gap. `part`: only the first of those. `compute`: none. */
  action: 'load' | 'part' | 'compute';
  /** Leading blocks to load; the tokens after them are to be computed. */
  blocks: number;
  /** Leading blocks that are there. */
  prefixBlocks: number;
  /** Estimated milliseconds for loading `blocks`, and then for computing the tokens after them. */
  loadMs: number;
  computeMs: number;
}

/** How much of a list of keys one node holds, and in which tier: for routers. */
export interface NodeResidency {
  node: string;
  /** Keys from the first that it holds without a gap, and all that it holds. */
  prefixBlocks: number;
  blocks: number;
  tiers: { dram: number };
  /** Multiaddrs of its control network, in the order to be tried; none for a node that is alone. */
  addresses: readonly string[];
}

/** How one source of blocks stands, as measured. */
export interface ReadSource {
  /** `shared`, `nvme`, or `peer:` and the node's name. */
  name: string;
  tier: BlockTier;
  latencyMs: number;
  bytesPerMs: number;
  /** Bytes that were asked of it and are not there yet. */
  inFlightBytes: number;
  loads: number;
  bytes: number;
  failures: number;
  /** Milliseconds for which it is left alone from now on after failures; 0 when it is in use. */
  suspendedMs: number;
}

/** What one source would give to a read. */
export interface ReadShare {
  name: string;
  tier: BlockTier;
  blocks: number;
  bytes: number;
  /** Milliseconds until all of it would be there; sources work at the same time. */
  estimatedMs: number;
}

/** How a read of keys would be carried out now, and the figures that say so. */
export interface ReadExplanation {
  keys: number;
  /** Keys that are nowhere. */
  misses: number;
  /** Sources that were ever asked or would be. Before its first load a source has the figures it is taken to have. */
  sources: ReadSource[];
  /** What would come from where; `dram` first, which needs no read. */
  plan: ReadShare[];
  /** Milliseconds until everything that is there would be in DRAM. */
  estimatedMs: number;
}

/**
 * The right and the duty to compute blocks that are missing, taken by `acquireFill`. Entries are indexes of its keys.
 * It ends by `release` (or the end of a `using` scope), by its life, block by block when the block is put by anybody,
 * with its connection, and with its node.
 */
export interface FillLease extends Disposable {
  /** Compute these and put them. */
  readonly granted: readonly number[];
  /** Others compute these, for so long at most: `awaitFill` waits for them. */
  readonly held: readonly { readonly index: number; readonly remainingMs: number }[];
  /** These are there. */
  readonly present: readonly number[];
  /** Gives back what was granted and not put. Idempotent. */
  release(): void;
}
