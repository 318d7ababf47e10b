/**
 * Small seeded generator for workloads and payloads: the same seed gives the same run on every machine. Not for
 * secrets. xorshift128 (Marsaglia, "Xorshift RNGs", 2003), seeded through the finaliser of MurmurHash3.
 */
export class SeededRandom {
  readonly #state: Uint32Array = new Uint32Array(4);

  constructor(seed: number) {
    let h = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      h = (h + 0x9e3779b9) >>> 0;
      let word = h;
      word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
      word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
      // All zeros is the one state that xorshift never leaves.
      this.#state[i] = (word ^ (word >>> 16)) | (i === 0 ? 1 : 0);
    }
  }

  /** 32 random bits. */
  word(): number {
    const s = this.#state;
    let t = s[0]!;
    t ^= t << 11;
    t ^= t >>> 8;
    s[0] = s[1]!;
    s[1] = s[2]!;
    s[2] = s[3]!;
    s[3] = s[3]! ^ (s[3]! >>> 19) ^ t;
    return s[3]!;
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + Math.floor((this.word() / 2 ** 32) * (max - min + 1));
  }
}
