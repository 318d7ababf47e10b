import { invariant } from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';

/** What may still write to a slot that its block has left. */
type Writer =
  /** A read that has not settled. */
  | 'reading'
  /** As `reading`, and the kernel has let go already. */
  | 'released'
  /** The kernel, of a read that was late. */
  | 'late';

/**
 * Second slots for reads that are late: the block is read once more into one, and whichever read ends first gives the
 * block its slot. The other slot is left, and freed when nothing writes to it any more, which may be long after.
 */
export class SpareSlots {
  readonly #scratch: Scratch;
  /** Slots that were left, by offset. */
  readonly #left = new Map<number, Writer>();

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  /** Slots that were left and are not free yet. */
  get size(): number {
    return this.#left.size;
  }

  /**
   * A slot for a second read of a block of this length, or `undefined` when there is no room. It counts as left until
   * that read has settled: then `keep`, if the block takes it, else `settle`.
   */
  take(lengthBytes: number): number | undefined {
    const offset = this.#scratch.allocate(lengthBytes)?.offset;
    if (offset !== undefined) this.leave(offset, false);
    return offset;
  }

  /** The block that was read into a slot takes it. */
  keep(offset: number): void {
    invariant(this.#left.delete(offset), 'a slot is kept that was taken');
  }

  /** A block left this slot while its read is under way; `settle` follows. */
  leave(offset: number, isReleased: boolean): void {
    invariant(!this.#left.has(offset), 'a slot is left once');
    this.#left.set(offset, isReleased ? 'released' : 'reading');
  }

  /** The read into a slot that was left has settled; when it was late the kernel may still write there. */
  settle(offset: number, isLate: boolean): void {
    const writer = this.#left.get(offset);
    invariant(writer !== undefined && writer !== 'late', 'a read settles once, of a slot that was left');
    if (isLate && writer === 'reading') this.#left.set(offset, 'late');
    else this.#give(offset);
  }

  /** From `BlockIO.onRelease`: the kernel let go. Not an error for memory that is no slot of these. */
  release(offset: number): void {
    const writer = this.#left.get(offset);
    if (writer === 'late') this.#give(offset);
    else if (writer !== undefined) this.#left.set(offset, 'released');
  }

  #give(offset: number): void {
    this.#left.delete(offset);
    this.#scratch.free(offset);
  }
}
