import type { Cluster, ClusterStatus, NodeStatus } from '@refill/interface';
import type { NodeCore } from './node-parts.ts';

/** Everything that can be counted about a node, under the names of the contract. */
export function statusOf(core: NodeCore, sessions: number, startedMs: number): NodeStatus {
  const { options, tier, io, counters, behind } = core;
  const shared = core.sharedTier.counters;
  const drain = core.drain.status;
  return {
    nodeName: options.nodeName,
    clusterId: options.clusterId,
    root: options.root,
    version: options.version,
    epoch: core.cluster?.lease.epoch ?? options.epoch,
    uptimeMs: Math.round(core.clock.nowMs() - startedMs),
    sessions,
    io: { ...io.report, ...io.counters },
    arena: {
      bytes: io.panes.reduce((sum, pane) => sum + pane.length, 0),
      usedBytes: tier.usedBytes,
      pinnedBytes: tier.pinnedBytes,
      blocks: tier.blocks,
      evictions: tier.evictions,
      quarantinedBytes: tier.quarantinedBytes,
    },
    tiers: {
      dram: { hits: counters.dramHits, bytes: counters.dramBytes, latency: core.dramLatency.summary() },
      shared: {
        hits: counters.sharedHits,
        bytes: counters.sharedBytes,
        latency: core.sharedLatency.summary(),
      },
    },
    reads: {
      keys: counters.keys,
      misses: counters.misses,
      late: counters.late,
      corrupt: shared.corrupt,
      singleFlightJoins: counters.joins,
      payloadBytes: shared.payloadBytesRead,
      deviceBytes: shared.deviceBytesRead,
      runs: shared.runs,
    },
    writes: {
      blocks: shared.blocksWritten,
      bytes: shared.bytesWritten,
      batches: shared.batches,
      syncs: shared.syncs,
      failures: behind.failed,
      backlogBytes: behind.backlogBytes,
      segmentsAbandoned: shared.segmentsAbandoned,
      compressedBytes: shared.compressedBytes,
      compressibleBytes: shared.compressibleBytes,
    },
    directory: core.directory.stats,
    hints: {
      ...core.hintCounters,
      withLife: core.expiry.size,
      expired: core.expiry.expired,
      livesRefused: core.expiry.refused,
    },
    ...(drain && { drain }),
    sources: core.sources.readings(),
    ...(core.cluster && { cluster: clusterOf(core.cluster) }),
  };
}

function clusterOf({ lease, members }: Cluster): ClusterStatus {
  return {
    lease: { epoch: lease.epoch, isHeld: lease.isHeld },
    members: members.map(({ node, control, epoch, state, dataAddress }) => ({
      ...{ node, peer: control.peer, epoch, state, dataAddress },
    })),
  };
}
