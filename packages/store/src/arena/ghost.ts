/**
 * Remembers which keys were evicted lately, by fingerprint: a block that comes back is worth keeping. Two places a
 * fingerprint, the older one gives way; an entry counts for as long as `reach` later evictions (Yang et al., SOSP 2023).
 */
export class Ghost {
  readonly #fingerprints: Uint32Array;
  readonly #times: Uint32Array;
  readonly #mask: number;
  #now = 1;

  /** `capacity` fingerprints, rounded up to a power of two. */
  constructor(capacity: number) {
    const places = 2 ** Math.ceil(Math.log2(Math.max(16, capacity)));
    this.#mask = places / 2 - 1;
    this.#fingerprints = new Uint32Array(places);
    this.#times = new Uint32Array(places);
  }

  add(fingerprint: number): void {
    const place = (fingerprint & this.#mask) * 2;
    const [a, b] = [this.#times[place]!, this.#times[place + 1]!];
    const older = a <= b ? place : place + 1;
    this.#fingerprints[older] = fingerprint;
    this.#times[older] = this.#now++;
  }

  /** Whether the key was evicted within the last `reach` evictions; forgets it. */
  take(fingerprint: number, reach: number): boolean {
    for (let place = (fingerprint & this.#mask) * 2, end = place + 2; place < end; place++) {
      const time = this.#times[place]!;
      if (time !== 0 && this.#fingerprints[place] === fingerprint) {
        this.#times[place] = 0;
        return this.#now - time <= reach;
      }
    }
    return false;
  }
}
