import type { Directory } from '@refill/interface';

/** What reading and writing segments needs of a directory: the cluster's, or that of a node's own disk. */
export type SegmentDirectory = Pick<
  Directory,
  | 'version'
  | 'namespace'
  | 'createSegment'
  | 'moveSegment'
  | 'forgetSegment'
  | 'segment'
  | 'segments'
  | 'reclaimable'
  | 'mayUnlink'
  | 'lookup'
  | 'commit'
  | 'remove'
  | 'removeAt'
  | 'removeGone'
>;
