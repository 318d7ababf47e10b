import { invariant, SLOT_UNIT_BYTES } from '@refill/interface';

/** Classes a doubling of size is split into: an allocation that takes the next class wastes at most an eighth. */
const SPLIT_SHIFT = 3;
const CLASSES = 128;
/** Runs of the own class looked at before the next class is taken: one of them may fit exactly. */
const OWN_CLASS_STEPS_MAX = 16;
const NONE = -1;

/** Owner of a run that no block owns: scratch memory. */
export const OWNER_NONE = -1;

/**
 * Divides an arena of panes into slots of whole units (`SLOT_UNIT_BYTES`). Free runs hang in lists by size class and
 * carry their size at both ends, so that allocating, freeing and merging with the neighbours take constant time
 * (after TLSF, Masmano et al., ECRTS 2004). A run never crosses a pane. A slot is named by its first unit.
 * Twelve bytes of bookkeeping a unit: 192 MiB a TiB.
 */
export class SlotAllocator {
  readonly unitsPerPane: number;
  readonly units: number;
  /** At the first and last unit of every run: its units, negative when free. Between them: not meaningful. */
  readonly #tags: Int32Array;
  /** Free run: the next of its class. Slot: its owner. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #heads: Int32Array = new Int32Array(CLASSES).fill(NONE);
  readonly #nonEmpty: Int32Array = new Int32Array(CLASSES / 32);
  #freeUnits = 0;

  /** Panes of equal size, the last one may be shorter. What does not fill a unit at a pane's end is not used. */
  constructor(paneBytes: readonly number[]) {
    const first = paneBytes[0] ?? 0;
    invariant(first > 0, 'an arena has a pane');
    invariant(first % SLOT_UNIT_BYTES === 0 || paneBytes.length === 1, 'panes are whole units');
    for (let pane = 0; pane < paneBytes.length; pane++) {
      const whole = pane < paneBytes.length - 1;
      invariant(
        whole ? paneBytes[pane] === first : paneBytes[pane]! <= first,
        'panes are equal but the last',
      );
    }
    this.unitsPerPane = Math.floor(first / SLOT_UNIT_BYTES);
    const lastUnits = Math.floor(paneBytes[paneBytes.length - 1]! / SLOT_UNIT_BYTES);
    this.units = this.unitsPerPane * (paneBytes.length - 1) + lastUnits;
    this.#tags = new Int32Array(this.units);
    this.#next = new Int32Array(this.units);
    this.#previous = new Int32Array(this.units);
    for (let unit = 0; unit < this.units; unit += this.unitsPerPane) {
      this.#link(unit, Math.min(this.unitsPerPane, this.units - unit));
    }
  }

  get freeUnits(): number {
    return this.#freeUnits;
  }

  /** Takes a run of `units` for `owner` and answers its first unit, or -1 when no run is long enough. */
  allocate(units: number, owner: number): number {
    if (units < 1 || units > this.unitsPerPane) return NONE;
    const own = classOf(units);
    let run = this.#heads[own]!;
    let fit = NONE;
    for (let step = 0; run !== NONE && step < OWN_CLASS_STEPS_MAX; step++, run = this.#next[run]!) {
      const size = -this.#tags[run]!;
      if (size === units) return this.#carve(run, units, owner);
      if (size > units && fit === NONE) fit = run;
    }
    if (fit !== NONE) return this.#carve(fit, units, owner);
    const larger = this.#firstNonEmpty(own + 1);
    return larger === NONE ? NONE : this.#carve(this.#heads[larger]!, units, owner);
  }

  /** Takes the first `units` of the free run that starts at `run`. */
  allocateAt(run: number, units: number, owner: number): number {
    invariant(this.#tags[run]! <= -units, 'the run is free and long enough');
    return this.#carve(run, units, owner);
  }

  /** Gives a slot back; answers the first unit of the free run that it is now part of. */
  free(slot: number): number {
    const units = this.#tags[slot]!;
    invariant(units > 0, 'a freed slot was taken');
    let start = slot;
    let size = units;
    const right = this.rightOf(slot);
    if (right !== NONE && this.isFree(right)) {
      size += this.sizeOf(right);
      this.#unlink(right);
    }
    const left = this.leftOf(slot);
    if (left !== NONE && this.isFree(left)) {
      size += this.sizeOf(left);
      start = left;
      this.#unlink(left);
    }
    this.#link(start, size);
    return start;
  }

  /** Units of the run that starts at `run`. */
  sizeOf(run: number): number {
    return Math.abs(this.#tags[run]!);
  }

  isFree(run: number): boolean {
    return this.#tags[run]! < 0;
  }

  /** Owner of a slot, as given to `allocate`. */
  ownerOf(slot: number): number {
    return this.#next[slot]!;
  }

  setOwner(slot: number, owner: number): void {
    invariant(this.#tags[slot]! > 0, 'only a slot has an owner');
    this.#next[slot] = owner;
  }

  /** First unit of the run after this one in its pane, or -1. */
  rightOf(run: number): number {
    const right = run + this.sizeOf(run);
    return right === this.units || right % this.unitsPerPane === 0 ? NONE : right;
  }

  /** First unit of the run before this one in its pane, or -1. */
  leftOf(run: number): number {
    return run % this.unitsPerPane === 0 ? NONE : run - Math.abs(this.#tags[run - 1]!);
  }

  /** Walks every run and asserts that they tile the panes, that no two free ones touch and that the count is right. */
  check(): void {
    let free = 0;
    for (let unit = 0, wasFree = false; unit < this.units; unit += this.sizeOf(unit)) {
      const size = this.sizeOf(unit);
      invariant(
        size > 0 &&
          Math.floor(unit / this.unitsPerPane) === Math.floor((unit + size - 1) / this.unitsPerPane),
        'a run stays in its pane',
      );
      invariant(this.#tags[unit + size - 1] === this.#tags[unit], 'both ends of a run agree');
      const isFree = this.isFree(unit);
      invariant(!(isFree && wasFree && unit % this.unitsPerPane !== 0), 'free neighbours are merged');
      if (isFree) free += size;
      wasFree = isFree;
    }
    invariant(free === this.#freeUnits, 'free units are counted');
  }

  #carve(run: number, units: number, owner: number): number {
    const size = -this.#tags[run]!;
    this.#unlink(run);
    if (size > units) this.#link(run + units, size - units);
    this.#tags[run] = units;
    this.#tags[run + units - 1] = units;
    this.#next[run] = owner;
    return run;
  }

  #link(run: number, size: number): void {
    this.#tags[run] = -size;
    this.#tags[run + size - 1] = -size;
    this.#freeUnits += size;
    const sizeClass = classOf(size);
    const head = this.#heads[sizeClass]!;
    this.#next[run] = head;
    this.#previous[run] = NONE;
    if (head !== NONE) this.#previous[head] = run;
    this.#heads[sizeClass] = run;
    this.#nonEmpty[sizeClass >> 5]! |= 1 << (sizeClass & 31);
  }

  #unlink(run: number): void {
    const size = this.sizeOf(run);
    this.#freeUnits -= size;
    const next = this.#next[run]!;
    const previous = this.#previous[run]!;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) {
      this.#next[previous] = next;
      return;
    }
    const sizeClass = classOf(size);
    this.#heads[sizeClass] = next;
    if (next === NONE) this.#nonEmpty[sizeClass >> 5]! &= ~(1 << (sizeClass & 31));
  }

  #firstNonEmpty(from: number): number {
    let word = from >> 5;
    let bits = this.#nonEmpty[word]! & (-1 << (from & 31));
    while (bits === 0) {
      if (++word === this.#nonEmpty.length) return NONE;
      bits = this.#nonEmpty[word]!;
    }
    return word * 32 + (31 - Math.clz32(bits & -bits));
  }
}

/** Sizes below eight have a class each; then every doubling has eight. Every size of a class is above the class before. */
function classOf(units: number): number {
  if (units < 1 << SPLIT_SHIFT) return units;
  const log = 31 - Math.clz32(units);
  return (
    ((log - SPLIT_SHIFT + 1) << SPLIT_SHIFT) + ((units >> (log - SPLIT_SHIFT)) & ((1 << SPLIT_SHIFT) - 1))
  );
}
