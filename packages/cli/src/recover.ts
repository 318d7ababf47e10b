import type { Logger } from '@libp2p/interface';
import { createArena, recoverSegments } from '@refill/store';
import { isInCluster } from './cluster/roles.ts';
import type { Config } from './config/fields.ts';
import { takeFormerName } from './identity.ts';
import type { OpenParts } from './parts.ts';
import { needsRebuild, rebuildWith } from './rebuild.ts';
import { systemClock } from './system-clock.ts';

/** By then every host sees the names that others made: above the second or so that shared file systems were seen to take. */
const NAMES_SETTLE_MS = 3_000;

/**
 * Brings the metadata of a root up to what its segments say: a rebuild where the database was lost or set back, then
 * what this node left open, under a new epoch. What was written while this root was a cluster's is only closed: its database
 * knows every acknowledged commit. What other members of a cluster left open is closed when their leases end.
 */
export async function recoverRoot(
  config: Config,
  opened: OpenParts,
  log: Logger,
): Promise<{ epoch: number; formerNodes: string[] }> {
  const { root, io, directory } = opened;
  // Who is alone sees his own names at once.
  if (await needsRebuild(opened, { namesSettleMs: isInCluster(config) ? NAMES_SETTLE_MS : 0 })) {
    log('the metadata database lacks the segments of %s: rebuilding it', root.path);
    const { segments, blocks, blocksRestored } = await rebuildWith(opened, log);
    log('rebuilt from %d segments: %d blocks described, %d restored', segments, blocks, blocksRestored);
  }
  const epoch = await directory.acquireEpoch(config.node);
  const parts = {
    io,
    directory,
    scratch: createArena(io).scratch,
    clock: systemClock,
    log: log.newScope('store'),
  };
  const recovered = await recoverSegments(parts, {
    node: config.node,
    epoch,
    ...(isInCluster(config) ? {} : { isFormer: (name: string) => takeFormerName(io, name) }),
  });
  if (recovered.segments > 0 || recovered.unreadable > 0) log('recovered segments: %o', recovered);
  return { epoch, formerNodes: recovered.formerNodes };
}
