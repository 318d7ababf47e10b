import { KEY_WORDS } from '@refill/interface';
import { hearRemovals } from './hear-removals.ts';
import type { NodeCore } from './node-parts.ts';

/**
 * Ties the store to those who wait for blocks here, and to the cluster it is in: what DRAM holds is told to the others, what reads rely on keeps segments from
 * being unlinked, a lease that was lost and granted anew starts new segments under its new epoch, and what others delete
 * leaves DRAM. Answers how to leave again.
 */
export function joinCluster(core: NodeCore): () => void {
  const { cluster, tier, sharedTier, fills } = core;
  const key = new Uint32Array(KEY_WORDS);
  tier.onResident = (id, isResident) => {
    const isAwaited = isResident && !fills.isIdle;
    if (cluster === undefined && !isAwaited) return;
    tier.copyKey(id, key, 0);
    cluster?.noteResident(tier.namespaceOf(id), key, 0, isResident);
    if (isAwaited) fills.arrived(tier.namespaceOf(id), key, 0);
  };
  if (cluster === undefined) return () => {};
  cluster.residents = (note) =>
    tier.forEachResident((id) => {
      tier.copyKey(id, key, 0);
      note(tier.namespaceOf(id), key, 0);
    });
  cluster.oldestReadVersion = () => sharedTier.oldestReadVersion;
  cluster.onReclaimable = () => void sharedTier.reclaim();
  cluster.lease.onEpoch = (epoch) => sharedTier.adopt(epoch);
  return hearRemovals(core, cluster);
}
