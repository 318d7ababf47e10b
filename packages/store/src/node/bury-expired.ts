import { LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import { bury } from './delete.ts';
import { keysAt } from './expiry.ts';
import type { NodeCore } from './node-parts.ts';

/**
 * Deletes blocks whose life has ended. Only those in segments of this node: under the same key another node may have
 * put a block of its own, which has no life or another one.
 */
export async function buryExpired(
  core: NodeCore,
  namespace: number,
  keys: Uint32Array,
  count: number,
): Promise<void> {
  await bury(core, namespace, keys, count, {
    isAfterStores: true,
    choose: async () => {
      const locations = new Uint32Array(count * LOCATION_ROW_WORDS);
      // The whole directory: that without what is hidden would find none of them.
      await core.allOfDirectory.lookup(namespace, keys, count, locations);
      const own: number[] = [];
      for (let i = 0; i < count; i++) {
        const at = i * LOCATION_ROW_WORDS;
        if (locations[at + LOCATION_ROW.found] === 0) continue;
        const segment = core.allOfDirectory.segment(locations[at + LOCATION_ROW.segment]!);
        if (segment?.node === core.options.nodeName) own.push(i);
      }
      return { keys: keysAt(keys, own), count: own.length };
    },
  });
}
