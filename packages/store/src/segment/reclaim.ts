import { BLOCK_FLAG, type BlockIO, type Clock, type Directory, type SegmentRecord } from '@refill/interface';
import { errnoOf, isGone } from './errno.ts';
import type { IoBatches } from './io-batches.ts';
import type { OpenFiles } from './open-files.ts';
import type { ScratchLease } from './scratch-lease.ts';
import { ENTRY, ENTRY_WORDS } from './segment-format.ts';
import { segmentPath } from './segment-path.ts';
import { readFooter, readSegmentHeader, type ScanParts, scanBatches } from './segment-scan.ts';

export interface ReclaimParts {
  io: BlockIO;
  directory: Directory;
  lease: ScratchLease;
  batches: IoBatches;
  clock: Clock;
  files: OpenFiles;
}

/**
 * Unlinks segments that hold no live block (rule R6), those that the directory names for this node: dead in the
 * directory, then no read in flight on any node (the directory says when) nor here, then the file, then the record.
 * A crash between leaves a dead segment that the next call takes up.
 *
 * Tombstones outlive what they deleted: a segment that holds some stays while an older one of its namespace is there,
 * or a rebuild would bring back what was removed.
 */
export async function reclaimSegments(
  parts: ReclaimParts,
  options: { node: string; deadlineMs: number; proceed: () => boolean },
): Promise<number> {
  const { io, directory, files } = parts;
  let reclaimed = 0;
  const candidates = directory
    .reclaimable(options.node)
    .sort((a, b) => a.epoch - b.epoch || a.index - b.index);
  for (const segment of candidates) {
    if (!options.proceed()) break;
    if (segment.state !== 'dead') {
      if (isNeeded(directory, segment) && (await holdsTombstones(parts, segment, options.deadlineMs)))
        continue;
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
function isNeeded(directory: Directory, segment: SegmentRecord): boolean {
  return directory
    .segments()
    .some(
      (other) =>
        other.namespace === segment.namespace &&
        other.index !== segment.index &&
        (other.node !== segment.node || other.epoch < segment.epoch || other.index < segment.index),
    );
}

async function holdsTombstones(
  parts: ReclaimParts,
  segment: SegmentRecord,
  deadlineMs: number,
): Promise<boolean> {
  const { io } = parts;
  const scan: ScanParts = { ...parts, deadlineMs };
  let file: number;
  try {
    file = await io.open(segmentPath(segment.id), { direct: true, deadlineMs });
  } catch (error) {
    if (isGone(errnoOf(error))) return false;
    throw error;
  }
  try {
    const header = await readSegmentHeader(scan, file);
    if (header === undefined) return false;
    const sealed = await readFooter(scan, file, header);
    if (sealed !== undefined) return sealed.trailer.tombstones > 0;
    const { batches } = await scanBatches(scan, file, header);
    return batches.some((batch) => {
      for (let i = 0; i < batch.blocks; i++) {
        if ((batch.entries[i * ENTRY_WORDS + ENTRY.flags]! & BLOCK_FLAG.tombstone) !== 0) return true;
      }
      return false;
    });
  } finally {
    io.close(file);
  }
}
