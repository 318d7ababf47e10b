import { KEY_WORDS, KeyTable } from '@refill/interface';
import { wordsOf } from './segment-bytes.ts';
import { ENTRY, ENTRY_WORDS, TARGET } from './segment-format.ts';

/** The one form of a target that there is. */
const TARGET_LOCATION = 1;
const NAMESPACE = 0;

/** Locations that tombstones name: what lies there is deleted, in whatever order the segments are read. */
export class Buried {
  // What is in the table is random by itself: ids of segments.
  readonly #table = new KeyTable({ seed: 0 });
  readonly #target = new Uint32Array(KEY_WORDS);

  get size(): number {
    return this.#table.size;
  }

  /** Takes the location that a tombstone names, if it names one; answers whether it does. */
  add(entries: Uint32Array, block: number): boolean {
    const at = block * ENTRY_WORDS + ENTRY.target;
    if (entries[at + TARGET.form] !== TARGET_LOCATION) return false;
    if (this.#table.find(NAMESPACE, entries, at) < 0) this.#table.insert(NAMESPACE, entries, at);
    return true;
  }

  has(segmentId: Uint8Array, offsetPages: number): boolean {
    if (this.#table.size === 0) return false;
    fillTarget(this.#target, 0, segmentId, offsetPages);
    return this.#table.find(NAMESPACE, this.#target, 0) >= 0;
  }
}

/** Writes the location that a tombstone buries into eight words. */
export function fillTarget(words: Uint32Array, at: number, segmentId: Uint8Array, offsetPages: number): void {
  words.fill(0, at, at + KEY_WORDS);
  words.set(wordsOf(segmentId, 0, 4), at + TARGET.segmentId);
  words[at + TARGET.offsetPages] = offsetPages;
  words[at + TARGET.form] = TARGET_LOCATION;
}
