import type { Cluster } from '@refill/interface';
import { dropRemoved } from './drop-removed.ts';
import type { NodeCore } from './node-parts.ts';
import { RecheckResidents } from './recheck-residents.ts';

/**
 * Blocks that were deleted on whichever node leave this one's DRAM when it hears of it (invariant K5). A lookup that is
 * under way then is made again (`findMisses`), for its answer may be from before. Answers how to stop.
 */
export function hearRemovals(core: NodeCore, cluster: Cluster): () => void {
  const recheck = new RecheckResidents(core);
  cluster.onRemoved = (namespace, key) => {
    core.removed.note(namespace, key, 0, ++core.removals);
    dropRemoved(core, namespace, key, 0);
  };
  cluster.onRemovalsMissed = () => {
    core.removed.forget(++core.removals);
    recheck.start();
  };
  return () => {
    cluster.onRemoved = undefined;
    cluster.onRemovalsMissed = undefined;
    recheck.stop();
  };
}
