export * from './arena.ts';
export {
  createSharedTier,
  type SegmentTier,
  type SharedTierOptions,
  type SharedTierParts,
} from './create-shared-tier.ts';
export type { NodeComponents, NodeOptions } from './node-parts.ts';
export { type RebuildOptions, type RebuildParts, type RebuildProgress, rebuildDirectory } from './rebuild.ts';
export { type RecoveryParts, type RecoveryReport, recoverSegments } from './recovery.ts';
export type { ServerBounds, ServerCounters } from './server/bounds.ts';
export {
  type NodeServer,
  type ServeNodeOptions,
  type ServeNodeParts,
  serveNode,
} from './server/serve-node.ts';
export * from './shared-tier.ts';
export * from './slot-allocator.ts';
export * from './store-node.ts';
