import { KeyTable } from './key-table.ts';

/**
 * Keys that were removed lately, each with the moment of its last removal: a number that only grows, of whatever the
 * caller counts. Bounded by two generations, and says from which moment on nothing is forgotten (`since`).
 */
export class RemovedKeys {
  readonly #seed: number;
  readonly #keysMax: number;
  #young: KeyTable;
  #old: KeyTable;
  #since: number;
  #youngSince: number;

  /** `keysMax` bounds one generation; at least that many of the latest removals are remembered. */
  constructor(options: { seed: number; keysMax: number; since?: number }) {
    this.#seed = options.seed;
    this.#keysMax = options.keysMax;
    this.#since = this.#youngSince = options.since ?? 0;
    this.#young = this.#table();
    this.#old = this.#table();
  }

  /** Every removal after this moment is remembered. */
  get since(): number {
    return this.#since;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The key at `keys[wordOffset ..]` was removed at this moment, not before any noted so far. */
  note(namespace: number, keys: Uint32Array, wordOffset: number, moment: number): void {
    if (this.#young.find(namespace, keys, wordOffset) < 0 && this.#young.size >= this.#keysMax) {
      this.#old.free();
      this.#old = this.#young;
      this.#since = this.#youngSince;
      this.#young = this.#table();
      // What else happened at this very moment may be in the generation before.
      this.#youngSince = moment;
    }
    const known = this.#young.find(namespace, keys, wordOffset);
    const id = known < 0 ? this.#young.insert(namespace, keys, wordOffset) : known;
    const page = this.#young.pageOf(id)!;
    page[this.#young.rowAt(id)] = moment % 2 ** 32;
    page[this.#young.rowAt(id) + 1] = Math.floor(moment / 2 ** 32);
  }

  /** Whether the key was removed after this moment, as far as is remembered. */
  isRemovedAfter(namespace: number, keys: Uint32Array, wordOffset: number, moment: number): boolean {
    for (const table of [this.#young, this.#old]) {
      if (table.size === 0) continue;
      const id = table.find(namespace, keys, wordOffset);
      if (id < 0) continue;
      const page = table.pageOf(id)!;
      if (page[table.rowAt(id)]! + page[table.rowAt(id) + 1]! * 2 ** 32 > moment) return true;
    }
    return false;
  }

  /** Forgets everything: what was removed up to this moment is not known. */
  forget(moment: number): void {
    this.#young.free();
    this.#old.free();
    this.#young = this.#table();
    this.#old = this.#table();
    this.#since = this.#youngSince = moment;
  }

  #table(): KeyTable {
    return new KeyTable({ seed: this.#seed, columns: 2 });
  }
}
