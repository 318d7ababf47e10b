/**
 * On which versions of the directory reads in flight rely. A read begins with the version of that moment: whatever
 * was condemned by then is not opened any more (`OpenFiles`), whatever is condemned later waits for it.
 */
export class ReadVersions {
  readonly #now: () => number;
  /** Reads by version. Versions only grow, so the first is the oldest. */
  readonly #reads = new Map<number, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The oldest that is relied on, or the version now. */
  get oldest(): number {
    for (const version of this.#reads.keys()) return version;
    return this.#now();
  }

  /** Counts a read that has just begun until it ends. */
  during<T>(read: Promise<T>): Promise<T> {
    const version = this.#now();
    this.#reads.set(version, (this.#reads.get(version) ?? 0) + 1);
    return read.finally(() => {
      const left = this.#reads.get(version)! - 1;
      if (left === 0) this.#reads.delete(version);
      else this.#reads.set(version, left);
    });
  }
}
