import { blockFingerprint } from '../protocol/fingerprint.ts';
import { RESIDENCY_NOTES_MAX, TOUCHES_MAX } from '../protocol/message.ts';

/** Notes that wait for heartbeats; beyond it all residency is told anew. 8 bytes each. */
const NOTES_MAX = 1_048_576;
const WORDS_MIN = 2048;
const WORDS_KEPT = 131_072;

/**
 * What a node tells with its heartbeats: which blocks came to its memory and went (in their order), and which index
 * entries were used. Both are hints; what does not fit is dropped and, for residency, told anew as a whole.
 */
export class NodeNotes {
  #words = new Uint32Array(WORDS_MIN);
  #from = 0;
  #to = 0;
  #overflowed = false;
  readonly #touched = new Uint32Array(TOUCHES_MAX);
  #touches = 0;

  /** Notes that wait. */
  get pending(): number {
    return (this.#to - this.#from) / 2;
  }

  /** Whether notes were lost: everything resident is to be told anew. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  note(namespace: number, keys: Uint32Array, at: number, isResident: boolean): void {
    if (this.pending >= NOTES_MAX) {
      this.#overflowed = true;
      return;
    }
    if (this.#to === this.#words.length) this.#makeRoom();
    const print = this.#words.subarray(this.#to, this.#to + 2);
    blockFingerprint(namespace, keys, at, print);
    if (isResident) print[0]! |= 1;
    this.#to += 2;
  }

  touch(entries: Uint32Array, count: number): void {
    const taken = Math.min(count, TOUCHES_MAX - this.#touches);
    for (let i = 0; i < taken; i++) this.#touched[this.#touches + i] = entries[i]!;
    this.#touches += taken;
  }

  /** The next notes, to be told until `told` says that they were. */
  peek(): Uint32Array {
    return this.#words.subarray(this.#from, Math.min(this.#to, this.#from + 2 * RESIDENCY_NOTES_MAX));
  }

  told(notes: Uint32Array): void {
    this.#from += notes.length;
    if (this.#from !== this.#to) return;
    this.#from = this.#to = 0;
    // What a whole telling took is not kept for the few notes of a day.
    if (this.#words.length > WORDS_KEPT) this.#words = new Uint32Array(WORDS_MIN);
  }

  /** Uses since the last call. */
  takeTouched(): Uint32Array {
    const touched = this.#touched.slice(0, this.#touches);
    this.#touches = 0;
    return touched;
  }

  /** Forgets all notes, before everything is told anew. */
  clear(): void {
    this.#from = this.#to = 0;
    this.#touches = 0;
    this.#overflowed = false;
  }

  #makeRoom(): void {
    const kept = this.#words.subarray(this.#from, this.#to);
    const words =
      2 * kept.length > this.#words.length ? new Uint32Array(2 * this.#words.length) : this.#words;
    words.set(kept);
    this.#words = words;
    this.#to = kept.length;
    this.#from = 0;
  }
}
