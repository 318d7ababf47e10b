import { invariant, SLOT_UNIT_BYTES } from '@refill/interface';
import { type Arena, unitsOf } from './arena.ts';
import { BLOCK_FLAG_BITS, BLOCK_STATE } from './block-columns.ts';
import { HeldBlocks } from './held-blocks.ts';
import { makeRoom } from './make-room.ts';
import { OWNER_NONE } from './slot-allocator.ts';

const { free, reserved, dirty, clean, loading, quarantined } = BLOCK_STATE;
const { linked, stored, storing, released, unstored, leaving, memoryOnly } = BLOCK_FLAG_BITS;

/** Blocks in the arena and the life of each: `docs/internals/arena.md` has the table of its states. */
export class DramTier extends HeldBlocks {
  // Functions without a receiver for `makeRoom`, made once: every block that is read needs room.
  readonly #isEvictable = (id: number): boolean => this.isEvictable(id);
  readonly #victim = (stepsMax: number): number => this.fifo.victim(this.#isEvictable, stepsMax);
  readonly #evict = (id: number): void => {
    this.evictions++;
    if (this.onUnready !== undefined && !this.fifo.isReady(id)) this.onUnready(id);
    if ((this.columns.flags[id]! & unstored) !== 0) this.lost++;
    this.drop(id);
  };
  /** What else waits for a quarantined slot: rare, so not a column. */
  readonly #whenReleased = new Map<number, () => void>();
  /** Told when a key comes to lead to a readable block, and when it no longer does. */
  onResident: ((id: number, isResident: boolean) => void) | undefined;
  /** Told when a slot was taken: room may have become scarce. */
  onTaken: (() => void) | undefined;
  /** Told of a block that has to go before it was made ready. */
  onUnready: ((id: number) => void) | undefined;
  evictions = 0;
  /** Linked blocks whose store failed, and how many of those were evicted: lost. */
  unstored = 0;
  lost = 0;

  constructor(arena: Arena, seed: number) {
    super(arena, seed);
    arena.makeRoom = (units, owner) => this.#makeRoom(units, owner);
  }

  /** Whether nothing stores the block now: its store failed, or its put asked for memory only. */
  isUnstored(id: number): boolean {
    return (this.columns.flags[id]! & (unstored | memoryOnly)) !== 0;
  }

  /**
   * Takes a key that is not here, and a slot for its block, evicting what it must. `state` is `reserved`
   * or `loading`; a loading block is borrowed by its load. Answers the id, or -1 when there is no room.
   */
  take(
    namespace: number,
    keys: Uint32Array,
    wordOffset: number,
    lengthBytes: number,
    tokens: number,
    state: number,
  ): number {
    const units = unitsOf(lengthBytes);
    let unit = this.arena.allocator.allocate(units, 0);
    if (unit < 0) unit = this.#makeRoom(units, 0);
    if (unit < 0) return -1;
    const id = this.insert(namespace, keys, wordOffset, state);
    this.arena.allocator.setOwner(unit, id);
    const { columns } = this;
    columns.unit[id] = unit;
    columns.units[id] = units;
    columns.lengthBytes[id] = lengthBytes;
    columns.tokens[id] = tokens;
    if (state === loading) columns.borrows[id] = 1;
    this.onTaken?.();
    return id;
  }

  /** Takes a key without a slot, for a put straight from a region: nobody else can put it meanwhile. */
  takeKey(namespace: number, keys: Uint32Array, wordOffset: number): number {
    return this.insert(namespace, keys, wordOffset, reserved);
  }

  /** The payload of a reserved block is complete: readable from now on, borrowed until it is stored or given up. */
  commit(id: number): void {
    invariant(this.columns.state[id] === reserved && this.isLinked(id), 'only a reserved block is committed');
    invariant(this.columns.unit[id]! >= 0, 'a committed block has a slot');
    this.columns.state[id] = dirty;
    this.columns.borrows[id]!++;
    this.onResident?.(id, true);
  }

  /**
   * A dirty block is stored, or (`isStored` false) was not: evictable either way. Ends the borrow of `commit`. What was
   * not stored and still has its key is `unstored`, and keeps its note for another try.
   */
  settleStore(id: number, isStored: boolean): void {
    const { columns } = this;
    invariant(columns.state[id] === dirty, 'only a dirty block is stored');
    columns.state[id] = clean;
    columns.flags[id] = (columns.flags[id]! & ~storing) | (isStored ? stored : 0);
    if (isStored) this.forgetNote(id);
    if (this.isLinked(id)) {
      this.admit(id);
      if (!isStored) this.#setUnstored(id, true);
    }
    this.giveBack(id);
  }

  /** The block is to leave first once it may be evicted: set before that. */
  setLeaving(id: number): void {
    this.columns.flags[id]! |= leaving;
  }

  /** A block that was just committed is not to be stored: evictable now. Keeps its note, for `retryStore`. */
  keepInMemory(id: number): void {
    const { columns } = this;
    invariant(
      columns.state[id] === dirty && this.isLinked(id),
      'only a dirty block is kept from being stored',
    );
    columns.state[id] = clean;
    columns.flags[id]! |= memoryOnly;
    this.admit(id);
    this.giveBack(id);
  }

  /** An unstored block is to be stored (once more): dirty again, and borrowed until `settleStore`. */
  retryStore(id: number): void {
    const { columns } = this;
    invariant(columns.state[id] === clean && this.isLinked(id), 'only a clean block is stored again');
    this.#setUnstored(id, false);
    columns.flags[id]! &= ~memoryOnly;
    this.fifo.remove(id);
    columns.state[id] = dirty;
    columns.borrows[id]!++;
  }

  /** Calls `visit` for unstored blocks until it answers false. Walks a column: not for a hot path. */
  forEachUnstored(visit: (id: number) => boolean): void {
    const { flags } = this.columns;
    for (let id = 0; id < this.table.idEnd && this.unstored > 0; id++) {
      if ((flags[id]! & unstored) !== 0 && !visit(id)) return;
    }
  }

  /** A load is done: readable and evictable from now on. Ends the load's borrow. */
  settleLoad(id: number): void {
    const { columns } = this;
    invariant(columns.state[id] === loading, 'only a loading block is loaded');
    columns.state[id] = clean;
    columns.flags[id]! |= stored;
    if (this.isLinked(id)) {
      this.admit(id);
      this.onResident?.(id, true);
    }
    this.giveBack(id);
  }

  /**
   * A loading block takes another slot of the same size, which was scratch; its old one becomes scratch. Answers
   * whether the kernel had let go of the old one (`release`) since the load began.
   */
  moveSlot(fromOffset: number, toOffset: number): boolean {
    const { columns } = this;
    const [from, to] = [fromOffset / SLOT_UNIT_BYTES, toOffset / SLOT_UNIT_BYTES];
    const id = this.arena.allocator.ownerOf(from);
    invariant(id >= 0 && columns.unit[id] === from && columns.state[id] === loading, 'a loading block moves');
    this.arena.allocator.setOwner(from, OWNER_NONE);
    this.arena.allocator.setOwner(to, id);
    columns.unit[id] = to;
    const wasReleased = (columns.flags[id]! & released) !== 0;
    columns.flags[id]! &= ~released;
    return wasReleased;
  }

  /**
   * I/O into a loading or reserved block came not back in time: the slot stays out of use until `release` tells that
   * the kernel let go, and then calls `whenReleased`. Ends that I/O's borrow.
   */
  quarantine(id: number, whenReleased?: () => void): void {
    const { columns } = this;
    invariant(
      columns.state[id] === loading || columns.state[id] === reserved,
      'only incomplete blocks are quarantined',
    );
    this.drop(id);
    if ((columns.flags[id]! & released) === 0) {
      columns.state[id] = quarantined;
      this.quarantinedUnits += columns.units[id]!;
      if (whenReleased !== undefined) this.#whenReleased.set(id, whenReleased);
    } else {
      whenReleased?.();
    }
    this.giveBack(id);
  }

  /** The kernel let go of the slot at this offset of the arena. Not an error for memory that is no block's. */
  release(offset: number): void {
    const unit = offset / SLOT_UNIT_BYTES;
    if (!Number.isInteger(unit) || unit >= this.arena.allocator.units) return;
    const { columns } = this;
    const id = this.arena.allocator.ownerOf(unit);
    if (id < 0 || id >= this.table.idEnd || columns.state[id] === free || columns.unit[id] !== unit) return;
    if (columns.state[id] !== quarantined) {
      columns.flags[id]! |= released;
      return;
    }
    columns.state[id] = reserved;
    this.quarantinedUnits -= columns.units[id]!;
    const whenReleased = this.#whenReleased.get(id);
    this.#whenReleased.delete(id);
    this.freeUnused(id);
    whenReleased?.();
  }

  /** The key no longer leads to the block; its slot is freed once nobody holds it. Idempotent. */
  drop(id: number): void {
    if (!this.isLinked(id)) return;
    if (this.isReadable(id)) this.onResident?.(id, false);
    this.#setUnstored(id, false);
    this.table.unlink(id);
    this.columns.flags[id]! &= ~linked;
    this.fifo.remove(id);
    this.freeUnused(id);
  }

  /** All ids are below this; some may be free. */
  get idEnd(): number {
    return this.table.idEnd;
  }

  /** Whether a block is a copy of one on the shared file system, or on its way from there. */
  isFromShared(id: number): boolean {
    const { state, flags } = this.columns;
    return state[id] === loading || (state[id] === clean && (flags[id]! & stored) !== 0);
  }

  /** Bytes that can be had at once: free, or of blocks that may go without being copied. */
  get readyBytes(): number {
    return (this.arena.allocator.freeUnits + this.fifo.readyUnits) * SLOT_UNIT_BYTES;
  }

  /** The block that would be evicted next of those that are not ready to go; -1 when there is none. */
  advance(stepsMax: number): number {
    return this.fifo.advance(this.#isEvictable, stepsMax);
  }

  /** Whether it was used since it came here, or is known to come back. */
  wasUsed(id: number): boolean {
    return this.fifo.wasUsed(id);
  }

  /** A block that `advance` proposed needs no copy: it may go. */
  setReady(id: number): void {
    this.fifo.ready(id);
  }

  /** A block that `advance` proposed is being copied to a lower tier: readable, not evictable until `endCopy`. */
  beginCopy(id: number): void {
    invariant(this.isEvictable(id), 'what is copied before it goes is evictable');
    this.fifo.hold(id);
    this.borrow(id);
  }

  /** The copy has settled, well or not: the block may go, if it is still there. */
  endCopy(id: number): void {
    if (this.isLinked(id)) this.fifo.ready(id);
    this.giveBack(id);
  }

  /** Calls `visit` for stored blocks, hottest first, until it answers false. Walks queues: not for a hot path. */
  forEachHottest(visit: (id: number) => boolean): void {
    this.fifo.forEachHottest((id) => {
      const isStored = (this.columns.flags[id]! & (linked | stored)) === (linked | stored);
      return !isStored || !this.isReadable(id) || visit(id);
    });
  }

  /** Calls `visit` for every readable block that its key leads to. Walks a column. */
  forEachResident(visit: (id: number) => void): void {
    for (let id = 0; id < this.table.idEnd; id++) {
      if (this.isReadable(id) && this.isLinked(id)) visit(id);
    }
  }

  override check(): number {
    let memoryOnly = 0;
    for (let id = 0; id < this.table.idEnd; id++) {
      if ((this.columns.flags[id]! & unstored) !== 0) memoryOnly++;
    }
    invariant(memoryOnly === this.unstored, 'unstored blocks are counted');
    return super.check();
  }

  #setUnstored(id: number, isUnstored: boolean): void {
    const { flags } = this.columns;
    if (((flags[id]! & unstored) !== 0) === isUnstored) return;
    flags[id]! ^= unstored;
    this.unstored += isUnstored ? 1 : -1;
  }

  #makeRoom(units: number, owner: number): number {
    const { allocator } = this.arena;
    return makeRoom(allocator, this.#victim, this.#isEvictable, this.#evict, this.columns.unit, units, owner);
  }
}
