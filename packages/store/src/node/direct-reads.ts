import type { KeyTable } from '@refill/interface';
import type { Region, Regions } from '../arena/regions.ts';

/** Where a block has just landed, in somebody's region. Verified there, but its owner may change it at any time. */
export interface DirectSource {
  readonly region: Region;
  readonly offset: number;
}

type Waiter = (source: DirectSource | undefined) => void;

/**
 * Blocks that are being read straight into a region. Who else wants one meanwhile waits until it has landed and takes
 * it from there instead of from the disk.
 */
export class DirectReads {
  readonly #keys: KeyTable;
  readonly #regions: Regions;
  readonly #waiters = new Map<number, Waiter[]>();

  constructor(keys: KeyTable, regions: Regions) {
    this.#keys = keys;
    this.#regions = regions;
  }

  /** Id of the read that is under way for this key, or -1. */
  find(namespace: number, keys: Uint32Array, at: number): number {
    return this.#keys.find(namespace, keys, at);
  }

  begin(namespace: number, keys: Uint32Array, at: number): number {
    return this.#keys.insert(namespace, keys, at);
  }

  /**
   * Where it landed, or `undefined` when it did not. The region of the answer is in use for the caller, who ends that
   * with `Regions.end`.
   */
  landed(id: number): Promise<DirectSource | undefined> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(id);
      if (waiters === undefined) this.#waiters.set(id, [resolve]);
      else waiters.push(resolve);
    });
  }

  /** It is over; those who wait hear of it. Called while the source's region is still in use for the reader. */
  end(id: number, source: DirectSource | undefined): void {
    this.#keys.delete(id);
    const waiters = this.#waiters.get(id);
    if (waiters === undefined) return;
    this.#waiters.delete(id);
    for (const waiter of waiters) {
      if (source !== undefined) this.#regions.begin(source.region);
      waiter(source);
    }
  }
}
