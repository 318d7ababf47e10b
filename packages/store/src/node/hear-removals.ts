import type { Cluster } from '@refill/interface';
import { SEGMENT_NONE } from '../shared-tier.ts';
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
  cluster.onRemovalsMissed = (isNewDirectory) => {
    if (isNewDirectory) forgetPlaces(core);
    core.removed.forget(++core.removals);
    recheck.start();
  };
  return () => {
    cluster.onRemoved = undefined;
    cluster.onRemovalsMissed = undefined;
    recheck.stop();
  };
}

/** What is known of where blocks lie goes by indexes of segments, also in loads under way. */
function forgetPlaces(core: NodeCore): void {
  core.placesLife++;
  for (let id = 0; id < core.tier.idEnd; id++) core.tier.columns.segment[id] = SEGMENT_NONE;
}
