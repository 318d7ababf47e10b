import { type BlockIO, type Clock, PAGE_BYTES, type SegmentRecord } from '@refill/interface';
import { errnoOf, isGone } from './errno.ts';
import { fileIdentity } from './file-identity.ts';
import type { IoBatches } from './io-batches.ts';
import type { OpenFiles } from './open-files.ts';
import type { ScratchLease } from './scratch-lease.ts';
import { fileBytes, holdsTombstones, readContents } from './segment-contents.ts';
import type { SegmentDirectory } from './segment-directory.ts';
import { segmentPath } from './segment-path.ts';

export interface ReclaimParts {
  io: BlockIO;
  directory: SegmentDirectory;
  lease: ScratchLease;
  batches: IoBatches;
  clock: Clock;
  files: OpenFiles;
}

/**
 * Unlinks segments that hold no live block (rule R6), those that the directory names for these nodes: dead in the
 * directory, then no read in flight on any node (the directory says when) nor here, then the file, then the record.
 * A crash between leaves a dead segment that the next call takes up.
 *
 * Tombstones outlive what they deleted: a segment that holds some stays while an older one of its namespace is there,
 * or a rebuild would bring back what was removed.
 */
export async function reclaimSegments(
  parts: ReclaimParts,
  options: { nodes: ReadonlySet<string>; deadlineMs: number; proceed: () => boolean },
): Promise<number> {
  const { io, directory, files } = parts;
  let reclaimed = 0;
  const candidates = directory
    .reclaimable(options.nodes)
    .sort((a, b) => a.epoch - b.epoch || a.index - b.index);
  for (const segment of candidates) {
    if (!options.proceed()) break;
    if (segment.state !== 'dead') {
      if (isNeeded(directory, segment) && (await removesBlocks(parts, segment, options.deadlineMs))) continue;
      if (!(await directory.moveSegment(segment.index, segment.state, 'dead', segment.endBytes))) continue;
    }
    if (!directory.mayUnlink(segment.index)) continue;
    await files.whenIdle(segment.index);
    await io.unlink(segmentPath(segment.id), { deadlineMs: options.deadlineMs });
    await directory.forgetSegment(segment.index);
    reclaimed++;
  }
  return reclaimed;
}

/** Whether a segment from before this one, of any node, is still there. */
function isNeeded(directory: SegmentDirectory, segment: SegmentRecord): boolean {
  return directory
    .segments()
    .some(
      (other) =>
        other.namespace === segment.namespace &&
        other.index !== segment.index &&
        (other.node !== segment.node || other.epoch < segment.epoch || other.index < segment.index),
    );
}

/** By what the directory knows of the segment: its header page may be damaged. */
async function removesBlocks(
  parts: ReclaimParts,
  segment: SegmentRecord,
  deadlineMs: number,
): Promise<boolean> {
  const { io, directory } = parts;
  const namespaceId = directory.namespace(segment.namespace)?.id;
  const sizeBytes = Math.min(segment.sizeBytes, (await fileBytes(io, segment.id, deadlineMs)) ?? 0);
  if (namespaceId === undefined || sizeBytes < 2 * PAGE_BYTES) return false;
  const owner = { segmentId: segment.id, namespaceId, epoch: segment.epoch, sizeBytes };
  let file: number;
  try {
    file = await io.open(segmentPath(segment.id), {
      direct: true,
      identity: fileIdentity(owner),
      deadlineMs,
    });
  } catch (error) {
    if (isGone(errnoOf(error))) return false;
    throw error;
  }
  try {
    return holdsTombstones(await readContents({ ...parts, deadlineMs }, file, owner));
  } finally {
    io.close(file);
  }
}
