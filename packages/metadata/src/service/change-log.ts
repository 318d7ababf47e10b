import { KEY_WORDS } from '@refill/interface';

export const CHANGE = { namespace: 1, segment: 2, member: 3, removed: 4 } as const;

/** Changes that are remembered one by one; whoever knows less takes a copy of the catalogue. */
const CHANGES_MAX = 65_536;
/** Removed keys that are remembered; whoever knows less drops all cached locations. */
const REMOVALS_MAX = 4096;
const REMOVAL_WORDS = KEY_WORDS + 1;

/**
 * What changed in the catalogue, as a bounded list of (kind, index): the state itself is read when a change is told,
 * so one that is told twice or late does no harm. `version` counts the changes; it means nothing after a restart.
 */
export class ChangeLog {
  readonly #kinds = new Uint8Array(CHANGES_MAX);
  readonly #indexes = new Uint32Array(CHANGES_MAX);
  readonly #removed = new Uint32Array(REMOVALS_MAX * REMOVAL_WORDS);
  #removals = 0;
  #version = 1;
  #oldest = 1;

  /** Version of the catalogue now. */
  get version(): number {
    return this.#version;
  }

  /** From this version on every change is remembered. */
  get oldest(): number {
    return Math.max(this.#oldest, this.#version - CHANGES_MAX);
  }

  note(kind: number, index: number): void {
    const slot = ++this.#version % CHANGES_MAX;
    this.#kinds[slot] = kind;
    this.#indexes[slot] = index;
  }

  /** A block was deleted: whoever cached where it lay forgets it. */
  noteRemoved(namespace: number, keys: Uint32Array, at: number): void {
    const to = (this.#removals % REMOVALS_MAX) * REMOVAL_WORDS;
    this.#removed[to] = namespace;
    for (let word = 0; word < KEY_WORDS; word++) this.#removed[to + 1 + word] = keys[at + word]!;
    this.note(CHANGE.removed, this.#removals++ >>> 0);
  }

  /** Everything is another now: nobody's knowledge can be brought up to date by changes. */
  forget(): void {
    this.#oldest = ++this.#version;
  }

  /** The change that led to this version. */
  kindOf(version: number): number {
    return this.#kinds[version % CHANGES_MAX]!;
  }

  indexOf(version: number): number {
    return this.#indexes[version % CHANGES_MAX]!;
  }

  /** Namespace and key of a removal, or `undefined` when it is forgotten. */
  removed(index: number): Uint32Array | undefined {
    if ((this.#removals - index) >>> 0 > REMOVALS_MAX) return undefined;
    const at = (index % REMOVALS_MAX) * REMOVAL_WORDS;
    return this.#removed.subarray(at, at + REMOVAL_WORDS);
  }
}
