import { arena } from './arena.ts';
import { checksum } from './checksum.ts';
import { clusterReplay } from './cluster-replay.ts';
import { coldRead } from './cold-read.ts';
import { coldReadSmall } from './cold-read-small.ts';
import { dramCopy } from './dram-copy.ts';
import { dramHit } from './dram-hit.ts';
import { failover } from './failover.ts';
import { filePerBlock } from './file-per-block.ts';
import { firstRead } from './first-read.ts';
import { fuse } from './fuse.ts';
import { herd } from './herd.ts';
import { limits } from './limits.ts';
import { metadataResidency, metadataService } from './metadata-programs.ts';
import { commit, matchPrefix } from './metadata-rows.ts';
import { peerRead } from './peer-read.ts';
import { readUnderWrite } from './read-under-write.ts';
import { rebuild } from './rebuild.ts';
import type { Scenario } from './scenario.ts';
import { writeShared } from './write-shared.ts';

/** What several nodes do together, in the order of the report: `refill bench cluster`. */
export const clusterScenarios: readonly Scenario[] = [
  peerRead,
  firstRead,
  herd,
  clusterReplay,
  metadataService,
  metadataResidency,
  failover,
];

/** Every scenario of one node, in the order of the report. */
export const scenarios: readonly Scenario[] = [
  limits,
  coldRead,
  coldReadSmall,
  writeShared,
  filePerBlock,
  readUnderWrite,
  dramHit,
  dramCopy,
  peerRead,
  matchPrefix,
  commit,
  rebuild,
  checksum,
  arena,
  fuse,
];
