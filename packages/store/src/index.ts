export * from './arena.ts';
export type { NodeComponents, NodeOptions } from './node-parts.ts';
export * from './shared-tier.ts';
export * from './slot-allocator.ts';
export * from './store-node.ts';
