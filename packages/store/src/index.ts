export * from './arena/arena.ts';
export * from './arena/slot-allocator.ts';
export { fillLoadRow, fillStoreRow } from './fill-rows.ts';
export type { NodeComponents, NodeOptions } from './node/node-parts.ts';
export * from './node/store-node.ts';
export { createNvmeTier, type NvmeTierOptions, type NvmeTierParts } from './nvme/create-nvme-tier.ts';
export type { NvmeTier, NvmeTierFigures } from './nvme/nvme-tier.ts';
export { PEER_PROTOCOL } from './peer/peer-messages.ts';
export { PeerReader, type PeerReaderParts } from './peer/peer-reader.ts';
export {
  PeerService,
  type PeerServiceCounters,
  type PeerServiceOptions,
  type PeerServiceParts,
  type PeerTier,
} from './peer/peer-service.ts';
export { type MemberList, type PeerSourcesParts, peerSources } from './peer/peer-source.ts';
export {
  createSharedTier,
  type SharedTierOptions,
  type SharedTierParts,
} from './segment/create-shared-tier.ts';
export { findUnknownSegments } from './segment/find-unknown.ts';
export {
  type RebuildOptions,
  type RebuildParts,
  type RebuildProgress,
  rebuildDirectory,
} from './segment/rebuild.ts';
export {
  type RecoveryOptions,
  type RecoveryParts,
  type RecoveryReport,
  recoverSegments,
} from './segment/recovery.ts';
export type { ServerBounds, ServerCounters } from './server/bounds.ts';
export {
  type NodeServer,
  type ServeNodeOptions,
  type ServeNodeParts,
  serveNode,
} from './server/serve-node.ts';
export * from './shared-tier.ts';
