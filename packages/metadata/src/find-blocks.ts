import { ENTRY_NONE, KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import type { BlockState } from './block-writer.ts';

/** Keys looked up before asking whether the prefix has ended. */
const PREFIX_KEYS = 1024;

/** Answers where blocks are: from memory at once, from the engine only for what memory may not know. */
export class FindBlocks {
  readonly #state: BlockState;
  #entries = new Int32Array(PREFIX_KEYS);

  constructor(state: BlockState) {
    this.#state = state;
  }

  lookup(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void | Promise<void> {
    const { index, beyond } = this.#state;
    const entries = this.#find(namespace, keys, count);
    const missing: number[] = [];
    for (let i = 0; i < count; i++) {
      const at = i * LOCATION_ROW_WORDS;
      if (entries[i]! >= 0) {
        index.locate(entries[i]!, rows, at);
        continue;
      }
      rows.fill(0, at, at + LOCATION_ROW_WORDS);
      rows[at + LOCATION_ROW.entry] = ENTRY_NONE;
      if (beyond.blocks > 0) missing.push(i);
    }
    if (missing.length > 0) return beyond.locate(namespace, keys, missing, rows);
  }

  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number> {
    const { beyond } = this.#state;
    const missing: number[] = [];
    for (let from = 0; from < count; from += PREFIX_KEYS) {
      const length = Math.min(PREFIX_KEYS, count - from);
      const entries = this.#find(namespace, keys.subarray(from * KEY_WORDS), length);
      for (let i = 0; i < length; i++) {
        if (entries[i]! >= 0) continue;
        if (beyond.blocks === 0) return from + i;
        missing.push(from + i);
      }
    }
    if (missing.length === 0) return count;
    return beyond.firstAbsent(namespace, keys, missing).then((absent) => absent ?? count);
  }

  #find(namespace: number, keys: Uint32Array, count: number): Int32Array {
    if (this.#entries.length < count) this.#entries = new Int32Array(count);
    this.#state.index.findMany(namespace, keys, count, this.#entries);
    return this.#entries;
  }
}
