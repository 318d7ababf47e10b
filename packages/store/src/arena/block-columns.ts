/** Where a resident block is in its life. `docs/internals/arena.md` has the table of transitions. */
export const BLOCK_STATE = {
  /** The id is not in use. */
  free: 0,
  /** A session writes into the slot, or a put from a region is under way; nobody can read it. */
  reserved: 1,
  /** Complete and readable, not on the shared file system yet: not evictable. */
  dirty: 2,
  /** Complete and readable; evictable when nobody pins it. */
  clean: 3,
  /** Being read from the shared tier. */
  loading: 4,
  /** Its I/O came not back in time; the kernel may still write there. */
  quarantined: 5,
} as const;

export const BLOCK_FLAG_BITS = {
  /** The key leads here; without it the block lives on only for those who hold it. */
  linked: 1,
  /** A copy is on the shared file system. */
  stored: 2,
  /** A store of it is in flight. */
  storing: 4,
  /** `onRelease` came for it before its I/O was known to be late. */
  released: 8,
  /** Its store failed and it was promised to memory only: readable, evictable, tried again. */
  unstored: 16,
  /** Put with the hint `tier: 'shared'`: once it may be evicted, it is the first to go. */
  leaving: 32,
  /** Put with the hint `tier: 'dram'`: clean without a copy elsewhere, and not tried to be stored. */
  memoryOnly: 64,
} as const;

/** What is known of every resident block, by id of the key table, in flat columns: about 51 bytes a block. */
export class BlockColumns {
  state: Uint8Array = new Uint8Array(0);
  flags: Uint8Array = new Uint8Array(0);
  /** First unit of its slot, or -1 when it has none. */
  unit: Int32Array = new Int32Array(0);
  units: Int32Array = new Int32Array(0);
  lengthBytes: Uint32Array = new Uint32Array(0);
  tokens: Uint32Array = new Uint32Array(0);
  /** Holds of sessions. */
  pins: Int32Array = new Int32Array(0);
  /** Holds of I/O: a load, a store, a copy, the write-behind queue. */
  borrows: Int32Array = new Int32Array(0);
  /** `ROW_STATUS` that a finished load left for those who wait. */
  outcome: Uint8Array = new Uint8Array(0);
  /** Number of the session that reserved it. */
  owner: Float64Array = new Float64Array(0);
  /** Row of its put in `PutNotes`, or -1. */
  note: Int32Array = new Int32Array(0);
  /** Entry of the directory that its load came from, for recency; `ENTRY_NONE` when not known. */
  entry: Uint32Array = new Uint32Array(0);
  /** Where its bytes lie in segments, as its store or verified load said; `SEGMENT_NONE` when not known. */
  segment: Uint32Array = new Uint32Array(0);
  offsetPages: Uint32Array = new Uint32Array(0);
  /** Tier that its load came from (`LOOKUP_TIER`). */
  source: Uint8Array = new Uint8Array(0);

  /** Makes room for ids below `end`. */
  grow(end: number): void {
    if (end <= this.state.length) return;
    const capacity = Math.max(1024, end, this.state.length * 2);
    const copy = <T extends { set(source: T): void }>(target: T, source: T): T => {
      target.set(source);
      return target;
    };
    this.state = copy(new Uint8Array(capacity), this.state);
    this.flags = copy(new Uint8Array(capacity), this.flags);
    this.unit = copy(new Int32Array(capacity), this.unit);
    this.units = copy(new Int32Array(capacity), this.units);
    this.lengthBytes = copy(new Uint32Array(capacity), this.lengthBytes);
    this.tokens = copy(new Uint32Array(capacity), this.tokens);
    this.pins = copy(new Int32Array(capacity), this.pins);
    this.borrows = copy(new Int32Array(capacity), this.borrows);
    this.outcome = copy(new Uint8Array(capacity), this.outcome);
    this.owner = copy(new Float64Array(capacity), this.owner);
    this.entry = copy(new Uint32Array(capacity), this.entry);
    this.note = copy(new Int32Array(capacity), this.note);
    this.segment = copy(new Uint32Array(capacity), this.segment);
    this.offsetPages = copy(new Uint32Array(capacity), this.offsetPages);
    this.source = copy(new Uint8Array(capacity), this.source);
  }
}
