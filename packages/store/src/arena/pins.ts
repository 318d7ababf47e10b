import { invariant } from '@refill/interface';

const EMPTY = -1;

/**
 * A bag of ids in flat arrays: which slots a session pinned or reserved, and how often. Open addressing with linear
 * probing; removal moves followers back, so that there are no tombstones.
 */
export class Pins {
  #ids = new Int32Array(16).fill(EMPTY);
  #counts = new Int32Array(16);
  #distinct = 0;
  #total = 0;

  /** Pins, each counted as often as it was added. */
  get total(): number {
    return this.#total;
  }

  add(id: number): void {
    if (this.#distinct * 2 >= this.#ids.length) this.#grow();
    const place = this.#placeOf(id);
    if (this.#ids[place] === EMPTY) {
      this.#ids[place] = id;
      this.#counts[place] = 0;
      this.#distinct++;
    }
    this.#counts[place]!++;
    this.#total++;
  }

  countOf(id: number): number {
    const place = this.#placeOf(id);
    return this.#ids[place] === EMPTY ? 0 : this.#counts[place]!;
  }

  /** Takes one of `id` out; false when there is none. */
  remove(id: number): boolean {
    const place = this.#placeOf(id);
    if (this.#ids[place] === EMPTY) return false;
    this.#total--;
    if (--this.#counts[place]! === 0) this.#erase(place);
    return true;
  }

  /** Calls `visit` for every id that is in the bag, with its count. The bag must not change meanwhile. */
  forEach(visit: (id: number, count: number) => void): void {
    for (let place = 0; place < this.#ids.length; place++) {
      if (this.#ids[place] !== EMPTY) visit(this.#ids[place]!, this.#counts[place]!);
    }
  }

  clear(): void {
    this.#ids = new Int32Array(16).fill(EMPTY);
    this.#counts = new Int32Array(16);
    this.#distinct = 0;
    this.#total = 0;
  }

  #homeOf(id: number): number {
    return (Math.imul(id, 0x9e3779b1) >>> 7) & (this.#ids.length - 1);
  }

  #placeOf(id: number): number {
    let place = this.#homeOf(id);
    while (this.#ids[place] !== id && this.#ids[place] !== EMPTY)
      place = (place + 1) & (this.#ids.length - 1);
    return place;
  }

  #erase(place: number): void {
    const mask = this.#ids.length - 1;
    this.#distinct--;
    let hole = place;
    for (let at = (place + 1) & mask; this.#ids[at] !== EMPTY; at = (at + 1) & mask) {
      const home = this.#homeOf(this.#ids[at]!);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#ids[hole] = this.#ids[at]!;
      this.#counts[hole] = this.#counts[at]!;
      hole = at;
    }
    this.#ids[hole] = EMPTY;
  }

  #grow(): void {
    const [ids, counts] = [this.#ids, this.#counts];
    this.#ids = new Int32Array(ids.length * 2).fill(EMPTY);
    this.#counts = new Int32Array(ids.length * 2);
    for (let from = 0; from < ids.length; from++) {
      if (ids[from] === EMPTY) continue;
      const place = this.#placeOf(ids[from]!);
      this.#ids[place] = ids[from]!;
      this.#counts[place] = counts[from]!;
    }
    invariant(this.#distinct * 2 < this.#ids.length, 'a bag is at most half full');
  }
}
