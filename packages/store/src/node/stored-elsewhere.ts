import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import type { NodeCore } from './node-parts.ts';

/**
 * Which of these blocks have their key in the directory: another node stored it since, and its copy is what everybody
 * reads. Where the directory cannot be asked, none is known to be.
 */
export async function storedElsewhere(
  { tier, directory, log }: NodeCore,
  ids: readonly number[],
): Promise<ReadonlySet<number>> {
  const found = new Set<number>();
  for (const namespace of new Set(ids.map((id) => tier.namespaceOf(id)))) {
    const some = ids.filter((id) => tier.namespaceOf(id) === namespace);
    const keys = new Uint32Array(some.length * KEY_WORDS);
    for (const [i, id] of some.entries()) tier.copyKey(id, keys, i * KEY_WORDS);
    const rows = new Uint32Array(some.length * LOCATION_ROW_WORDS);
    try {
      await directory.lookup(namespace, keys, some.length, rows, { certain: true });
    } catch (error) {
      log.error('whether others stored what could not be stored here is not known: %s', error);
      continue;
    }
    for (const [i, id] of some.entries())
      if (rows[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] === 1) found.add(id);
  }
  return found;
}
