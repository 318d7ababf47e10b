export {
  createSharedTier,
  type SegmentTier,
  type SharedTierOptions,
  type SharedTierParts,
} from './create-shared-tier.ts';
export * from './shared-tier.ts';
