/** A tier that blocks can be read from into this node's memory; dram itself is not one. */
export type SourceTier = 'nvme' | 'peer' | 'shared';

/**
 * One place that blocks can be read from: a peer's memory, a local disk, the segments on the shared file system.
 * Which of them a block comes from is decided by `planReads`, by what each was measured to give.
 */
export interface BlockSource {
  /** Unique on this node: `shared`, `nvme`, or `peer:` and the node's name. */
  readonly name: string;
  readonly tier: SourceTier;
  /** Whether the block of the `LOAD_ROW` that begins at `row` may be here, as far as is known. */
  mayHold(rows: Uint32Array, row: number): boolean;
  /** The same of `count` rows at once, where that is cheaper: sets `bit` in `holders[i]` for each that may be here. */
  markHeld?(rows: Uint32Array, count: number, holders: Uint32Array, bit: number): void;
  /**
   * Reads `count` blocks (`LOAD_ROW`) as `SharedTier.load` does. Rows that it cannot serve are `gone`. Of a peer,
   * nothing writes to the memory any more when it settles; of a file, memory of rows `late` is quarantined.
   */
  load(rows: Uint32Array, count: number, deadlineMs: number): Promise<void>;
}
