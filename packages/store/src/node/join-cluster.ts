import { KEY_WORDS } from '@refill/interface';
import type { NodeCore } from './node-parts.ts';

/**
 * Ties the store to the cluster it is in: what DRAM holds is told to the others, what reads rely on keeps segments from
 * being unlinked, and a lease that was lost and granted anew starts new segments under its new epoch.
 */
export function joinCluster({ cluster, tier, sharedTier }: NodeCore): void {
  if (cluster === undefined) return;
  const key = new Uint32Array(KEY_WORDS);
  tier.onResident = (id, isResident) => {
    tier.copyKey(id, key, 0);
    cluster.noteResident(tier.namespaceOf(id), key, 0, isResident);
  };
  cluster.residents = (note) =>
    tier.forEachResident((id) => {
      tier.copyKey(id, key, 0);
      note(tier.namespaceOf(id), key, 0);
    });
  cluster.oldestReadVersion = () => sharedTier.oldestReadVersion;
  cluster.onReclaimable = () => void sharedTier.reclaim();
  cluster.lease.onEpoch = (epoch) => sharedTier.adopt(epoch);
}
