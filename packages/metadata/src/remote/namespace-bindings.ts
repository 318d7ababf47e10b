import { type NamespaceRecord, RefillError } from '@refill/interface';
import { hex } from '../catalogue.ts';

/**
 * Which namespace each index means in the life of this process (invariant K6): the first that was heard, for good. The
 * service keeps indexes over resets and the loss of its database; only with the catalogue's copy lost as well may it
 * number anew, and then what was renumbered is refused here rather than taken for another's.
 */
export class NamespaceBindings {
  readonly #ids = new Map<number, string>();

  /** Whether the index of this namespace means it here. */
  bind({ index, id }: NamespaceRecord): boolean {
    const known = this.#ids.get(index);
    if (known === undefined) this.#ids.set(index, hex(id));
    return known === undefined || known === hex(id);
  }

  knows(index: number): boolean {
    return this.#ids.has(index);
  }
}

export function renumbered({ index, fingerprint }: NamespaceRecord): RefillError {
  return new RefillError(
    'ERR_NAMESPACE_UNKNOWN',
    `namespace ${fingerprint.owner}:${fingerprint.name} has index ${index} since the metadata was lost, which meant another on this node`,
    { fix: 'Restart this node' },
  );
}
