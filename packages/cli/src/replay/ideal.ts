/**
 * What an infinite cache would hit: of every request the leading blocks that some earlier request had. Fed in the
 * order in which requests start.
 */
export class IdealCache {
  readonly #seen: Map<string, Set<number>> = new Map();
  blocksReferenced = 0;
  blocksHit = 0;

  /** Counts a request and answers how many of its leading blocks an infinite cache would hit. */
  add(scope: string, hashIds: readonly number[]): number {
    let seen = this.#seen.get(scope);
    if (seen === undefined) {
      seen = new Set();
      this.#seen.set(scope, seen);
    }
    let hits = 0;
    while (hits < hashIds.length && seen.has(hashIds[hits]!)) hits++;
    for (let i = hits; i < hashIds.length; i++) seen.add(hashIds[i]!);
    this.blocksReferenced += hashIds.length;
    this.blocksHit += hits;
    return hits;
  }

  get hitRate(): number {
    return this.blocksReferenced === 0 ? 0 : this.blocksHit / this.blocksReferenced;
  }
}
