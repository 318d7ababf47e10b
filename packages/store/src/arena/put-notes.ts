import { PUT_ROW_WORDS, type PutHints } from '@refill/interface';

/** What puts said about blocks that are not stored yet (`PUT_ROW`): needed until then, so kept apart from the columns. */
export class PutNotes {
  #rows = new Uint32Array(64 * PUT_ROW_WORDS);
  #end = 0;
  readonly #free: number[] = [];
  /** Hints that are to be honoured once their block is stored. */
  readonly #hints = new Map<number, PutHints>();

  /** The rows; row `note` starts at word `note * PUT_ROW_WORDS`. Moves when notes are added. */
  get rows(): Uint32Array {
    return this.#rows;
  }

  /** Notes in use. */
  get size(): number {
    return this.#end - this.#free.length;
  }

  /** Keeps a copy of row `index` of `puts`. */
  add(puts: Uint32Array, index: number): number {
    const note = this.#free.pop() ?? this.#end++;
    if ((note + 1) * PUT_ROW_WORDS > this.#rows.length) {
      const larger = new Uint32Array(this.#rows.length * 2);
      larger.set(this.#rows);
      this.#rows = larger;
    }
    const from = index * PUT_ROW_WORDS;
    this.#rows.set(puts.subarray(from, from + PUT_ROW_WORDS), note * PUT_ROW_WORDS);
    return note;
  }

  setHints(note: number, hints: PutHints): void {
    this.#hints.set(note, hints);
  }

  hintsOf(note: number): PutHints | undefined {
    return this.#hints.size === 0 ? undefined : this.#hints.get(note);
  }

  remove(note: number): void {
    this.#hints.delete(note);
    this.#free.push(note);
  }
}
