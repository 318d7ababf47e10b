import { ENTRY_NONE, invariant, KeyTable, SLOT_UNIT_BYTES } from '@refill/interface';
import { SEGMENT_NONE } from '../shared-tier.ts';
import type { Arena } from './arena.ts';
import { BLOCK_FLAG_BITS, BLOCK_STATE, BlockColumns } from './block-columns.ts';
import { PutNotes } from './put-notes.ts';
import { S3Fifo } from './s3-fifo.ts';

const { free, dirty, clean, quarantined } = BLOCK_STATE;
const { linked, leaving } = BLOCK_FLAG_BITS;

/**
 * Who holds which block. A block is an id of the key table, which is also its slot's handle. An id lives until its key
 * no longer leads to it, nobody pins it, no I/O borrows it and it is not quarantined: whichever ends last frees the slot.
 */
export class HeldBlocks {
  readonly columns: BlockColumns = new BlockColumns();
  readonly notes: PutNotes = new PutNotes();
  readonly arena: Arena;
  protected readonly table: KeyTable;
  protected readonly fifo: S3Fifo;
  protected quarantinedUnits = 0;
  #pinnedUnits = 0;

  constructor(arena: Arena, seed: number) {
    this.arena = arena;
    this.table = new KeyTable({ seed });
    this.fifo = new S3Fifo(arena.allocator.units);
  }

  /** Blocks that a key leads to. */
  get blocks(): number {
    return this.table.size;
  }

  get usedBytes(): number {
    return (this.arena.allocator.units - this.arena.allocator.freeUnits) * SLOT_UNIT_BYTES;
  }

  get pinnedBytes(): number {
    return this.#pinnedUnits * SLOT_UNIT_BYTES;
  }

  get quarantinedBytes(): number {
    return this.quarantinedUnits * SLOT_UNIT_BYTES;
  }

  find(namespace: number, keys: Uint32Array, wordOffset: number): number {
    return this.table.find(namespace, keys, wordOffset);
  }

  findMany(namespace: number, keys: Uint32Array, count: number, out: Int32Array): void {
    this.table.findMany(namespace, keys, count, out);
  }

  copyKey(id: number, target: Uint32Array, wordOffset: number): void {
    this.table.copyKey(id, target, wordOffset);
  }

  namespaceOf(id: number): number {
    return this.table.namespaceOf(id);
  }

  /** Whether ids stand for complete blocks that may be handed out. */
  isReadable(id: number): boolean {
    const state = this.columns.state[id];
    return state === clean || state === dirty;
  }

  isLinked(id: number): boolean {
    return (this.columns.flags[id]! & linked) !== 0;
  }

  isEvictable(id: number): boolean {
    const { state, pins, borrows } = this.columns;
    return state[id] === clean && pins[id] === 0 && borrows[id] === 0;
  }

  /** Offset of the block's slot in the arena, bytes. */
  offsetOf(id: number): number {
    return this.columns.unit[id]! * SLOT_UNIT_BYTES;
  }

  /** Notes a use, for eviction. */
  touch(id: number): void {
    this.fifo.touch(id);
  }

  pin(id: number): void {
    if (this.columns.pins[id]!++ === 0) this.#pinnedUnits += this.columns.units[id]!;
    this.fifo.touch(id);
  }

  unpin(id: number): void {
    const { pins, units } = this.columns;
    invariant(pins[id]! > 0, 'a pin is given back once');
    if (--pins[id]! > 0) return;
    this.#pinnedUnits -= units[id]!;
    this.#idle(id);
  }

  /** I/O uses the slot: it is neither evicted nor freed until `giveBack`. */
  borrow(id: number): void {
    this.columns.borrows[id]!++;
  }

  giveBack(id: number): void {
    invariant(this.columns.borrows[id]! > 0, 'a borrow is given back once');
    if (--this.columns.borrows[id]! === 0) this.#idle(id);
  }

  /** Asserts that slots and blocks account for each other; answers units held by blocks. Walks everything. */
  check(): number {
    this.arena.allocator.check();
    let [held, pinned, kept] = [0, 0, 0];
    const { columns } = this;
    for (let id = 0; id < this.table.idEnd; id++) {
      if (columns.state[id] === free) continue;
      const isHeld = this.isLinked(id) || columns.pins[id]! > 0 || columns.borrows[id]! > 0;
      invariant(isHeld || columns.state[id] === quarantined, 'somebody holds every block');
      held += columns.units[id]!;
      if (columns.pins[id]! > 0) pinned += columns.units[id]!;
      if (columns.state[id] === quarantined) kept += columns.units[id]!;
    }
    invariant(
      pinned === this.#pinnedUnits && kept === this.quarantinedUnits,
      'pinned and quarantined are counted',
    );
    return held;
  }

  /** Gives a key an id, linked and without a slot. */
  protected insert(namespace: number, keys: Uint32Array, wordOffset: number, state: number): number {
    invariant(this.table.find(namespace, keys, wordOffset) < 0, 'a key leads to one block');
    const id = this.table.insert(namespace, keys, wordOffset);
    const { columns } = this;
    columns.grow(this.table.idEnd);
    this.fifo.grow(this.table.idEnd);
    columns.state[id] = state;
    columns.flags[id] = linked;
    columns.unit[id] = -1;
    columns.units[id] = 0;
    columns.lengthBytes[id] = 0;
    columns.tokens[id] = 0;
    columns.pins[id] = 0;
    columns.borrows[id] = 0;
    columns.outcome[id] = 0;
    columns.owner[id] = 0;
    columns.note[id] = -1;
    columns.entry[id] = ENTRY_NONE;
    columns.segment[id] = SEGMENT_NONE;
    columns.offsetPages[id] = 0;
    columns.source[id] = 0;
    return id;
  }

  #idle(id: number): void {
    if (this.isEvictable(id)) this.fifo.unpark(id);
    this.freeUnused(id);
  }

  /** Frees a block that nothing holds any more. */
  protected freeUnused(id: number): void {
    const { columns } = this;
    if (this.isLinked(id) || columns.pins[id]! > 0 || columns.borrows[id]! > 0) return;
    if (columns.state[id] === quarantined) return;
    invariant(columns.state[id] !== free, 'a block is freed once');
    this.forgetNote(id);
    if (columns.unit[id]! >= 0) this.arena.allocator.free(columns.unit[id]!);
    columns.state[id] = free;
    columns.flags[id] = 0;
    this.table.release(id);
  }

  protected forgetNote(id: number): void {
    const note = this.columns.note[id]!;
    if (note >= 0) this.notes.remove(note);
    this.columns.note[id] = -1;
  }

  /** The block may be evicted from now on, once nobody holds it. */
  protected admit(id: number): void {
    const isLeaving = (this.columns.flags[id]! & leaving) !== 0;
    this.fifo.insert(id, this.columns.units[id]!, this.#fingerprintOf(id), isLeaving);
  }

  #fingerprintOf(id: number): number {
    const words = this.table.keyOf(id);
    return (
      (words[0]! ^
        Math.imul(words[5]!, 0x85ebca6b) ^
        Math.imul(this.table.namespaceOf(id) + 1, 0x9e3779b1)) >>>
      0
    );
  }
}
