import type { Cluster, ClusterStatus, NodeStatus, NvmeStatus } from '@refill/interface';
import type { NvmeTier } from '../nvme/nvme-tier.ts';
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
      dram: { ...counters.dram, latency: core.dramLatency.summary() },
      ...(core.nvme && { nvme: nvmeOf(core, core.nvme) }),
      peer: { ...counters.peer, latency: core.loadLatency.peer.summary() },
      shared: { ...counters.shared, latency: core.loadLatency.shared.summary() },
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

function nvmeOf({ counters, loadLatency, demotion }: NodeCore, nvme: NvmeTier): NvmeStatus {
  return {
    ...counters.nvme,
    latency: loadLatency.nvme.summary(),
    ...nvme.status,
    backlogBytes: demotion?.backlogBytes ?? 0,
    dropped: demotion?.dropped ?? 0,
  };
}

function clusterOf({ lease, members, isServiceAway }: Cluster): ClusterStatus {
  return {
    lease: { epoch: lease.epoch, isHeld: lease.isHeld },
    service: isServiceAway ? 'away' : 'serving',
    members: members.map(({ node, control, epoch, state, dataAddress }) => ({
      ...{ node, peer: control.peer, epoch, state, dataAddress },
    })),
  };
}
