import { type Key, keyOf } from '@refill/interface';

/** Keys of the blocks of one scope: SHA-256 of `scope/id`, remembered, because prompts repeat their blocks. */
export class TraceKeys {
  readonly #scope: string;
  readonly #keys: Map<number, Key> = new Map();

  constructor(scope: string) {
    this.#scope = scope;
  }

  key(hashId: number): Key {
    let key = this.#keys.get(hashId);
    if (key === undefined) {
      key = keyOf(`${this.#scope}/${hashId}`);
      this.#keys.set(hashId, key);
    }
    return key;
  }
}
