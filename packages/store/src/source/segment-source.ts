import { LOAD_ROW, SEGMENT_NONE, type SharedTier } from '../shared-tier.ts';
import type { BlockSource } from './block-source.ts';

/** The segments on the shared file system, which have every stored block. */
export function segmentSource(sharedTier: SharedTier): BlockSource {
  return {
    name: 'shared',
    tier: 'shared',
    mayHold: (rows, row) => rows[row + LOAD_ROW.segment] !== SEGMENT_NONE,
    load: (rows, count, deadlineMs) => sharedTier.load(rows, count, deadlineMs),
  };
}
