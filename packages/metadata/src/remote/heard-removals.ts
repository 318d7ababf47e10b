import { RemovedKeys } from '@refill/interface';

/** At least so many of the latest removals are remembered: 54 bytes each, twice. */
const KEYS_MAX = 65_536;

/** A moment of the catalogue: its version in one life of the service. */
export interface AsOf {
  readonly session: number;
  readonly version: number;
}

/**
 * Which blocks this node has heard to be deleted, and since when it has heard of all (invariant K9): for what shows the
 * state of a moment, as the last checkpoint does. A removal counts as one of the version of the answer that told it, so
 * never as older than it is.
 */
export class HeardRemovals {
  readonly #keys: RemovedKeys;
  #session = 0;

  constructor(options: { seed: number; keysMax?: number }) {
    this.#keys = new RemovedKeys({ seed: options.seed, keysMax: options.keysMax ?? KEYS_MAX });
  }

  note(namespace: number, key: Uint32Array, version: number): void {
    this.#keys.note(namespace, key, 0, version);
  }

  /** What was removed before is not known one by one: a copy was taken, or the service had forgotten. */
  missed({ session, version }: AsOf): void {
    this.#session = session;
    this.#keys.forget(version);
  }

  /** Whether every removal since that moment was heard. */
  covers({ session, version }: AsOf): boolean {
    return session !== 0 && session === this.#session && version >= this.#keys.since;
  }

  isRemovedSince(asOf: AsOf, namespace: number, keys: Uint32Array, wordOffset: number): boolean {
    return this.#keys.isRemovedAfter(namespace, keys, wordOffset, asOf.version);
  }
}
