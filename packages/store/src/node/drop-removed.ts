import { BLOCK_FLAG_BITS } from '../arena/block-columns.ts';
import type { NodeCore } from './node-parts.ts';

/**
 * The key no longer leads to a block that was on the shared file system or is on its way from there. One that was put here
 * and is not stored yet is another than the one deleted; whether it is, is known only when a store under way has ended.
 */
export function dropRemoved(core: NodeCore, namespace: number, keys: Uint32Array, at: number): void {
  const { tier, behind } = core;
  const id = tier.find(namespace, keys, at);
  if (id < 0) return;
  if (tier.isFromShared(id)) {
    tier.drop(id);
  } else if ((tier.columns.flags[id]! & BLOCK_FLAG_BITS.storing) !== 0) {
    tier.borrow(id);
    void behind.landed().then(() => {
      if (tier.isFromShared(id)) tier.drop(id);
      tier.giveBack(id);
    });
  }
}
