const SLAB_WORDS = 16 * 1024;

/**
 * Keeps copies of reply rows. Small arrays of their own would cost an allocation outside the heap each, more than the
 * rest of a call; these are cut off one slab, which goes when the last of them goes.
 */
export class RowPool {
  #slab = new Uint32Array(SLAB_WORDS);
  #tail = 0;

  keep(rows: Uint32Array): Uint32Array {
    if (rows.length > SLAB_WORDS / 8) return rows.slice();
    if (this.#tail + rows.length > SLAB_WORDS) {
      this.#slab = new Uint32Array(SLAB_WORDS);
      this.#tail = 0;
    }
    const kept = this.#slab.subarray(this.#tail, this.#tail + rows.length);
    this.#tail += rows.length;
    kept.set(rows);
    return kept;
  }
}
