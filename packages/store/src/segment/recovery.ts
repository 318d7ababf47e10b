import {
  type BlockIO,
  type Clock,
  type Directory,
  PAGE_BYTES,
  RefillError,
  type SegmentRecord,
} from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
import { batchAt } from './batch-scan.ts';
import { Buried } from './buried.ts';
import { CommitBuffer } from './commit-buffer.ts';
import { yieldsPlace } from './contested.ts';
import { errnoOf, isGone } from './errno.ts';
import { fileIdentity } from './file-identity.ts';
import { withScanParts } from './scan-parts.ts';
import { fileBytes, readContents, type SegmentContents } from './segment-contents.ts';
import { ENTRY, ENTRY_WORDS } from './segment-format.ts';
import { segmentPath } from './segment-path.ts';
import { readSegmentHeader, type ScanParts } from './segment-scan.ts';
import { applyTombstones, isTombstoneBatch } from './tombstones.ts';

export interface RecoveryParts {
  io: BlockIO;
  directory: Directory;
  scratch: Scratch;
  clock: Clock;
  log?: { error(format: string, ...args: unknown[]): void };
}

export interface RecoveryOptions {
  node: string;
  /** From `directory.acquireEpoch`. */
  epoch: number;
  deadlineMs?: number;
  /**
   * Whether no process runs under this other node's name, and none can begin to while this one lives: what it left
   * open is closed too, as after a node was renamed. Default: none is.
   */
  isFormer?: (node: string) => Promise<boolean>;
}

export interface RecoveryReport {
  /** Segments that an earlier incarnation left open and that are closed now. */
  segments: number;
  /** Blocks of those segments that are in the directory now, most of them from before. */
  blocks: number;
  /** Blocks of the last batches whose payloads were not whole. */
  torn: number;
  /** Segments that could not be read; they stay open and are tried again at the next start. */
  unreadable: number;
  /** Damaged places in chains of batch headers, and the bytes up to the next whole header. */
  gaps: number;
  skippedBytes: number;
  /** Other names under which this root was written and nobody runs now: their segments are this node's to reclaim. */
  formerNodes: string[];
  /** Segments left open by other nodes that are not known to have ended: they are left alone. */
  foreign: number;
}

/**
 * Closes what earlier incarnations of this node, and former nodes, left open: what their batches hold and the
 * directory lacks is committed, then the segment is `sealed` (its footer is whole) or `abandoned`. Nothing is ever
 * appended to it. A segment whose commits were durable (`durableCommits`: a cluster's) is only closed. Run after `acquireEpoch` and before the tier starts. A former node gets a new epoch first, so that
 * it is fenced should it live after all. A crash in between loses nothing: the next run does the same again.
 * Rejects with `ERR_VERSION` when a newer Refill wrote one of them.
 */
export function recoverSegments(parts: RecoveryParts, options: RecoveryOptions): Promise<RecoveryReport> {
  const { directory } = parts;
  const report: RecoveryReport = {
    segments: 0,
    blocks: 0,
    torn: 0,
    unreadable: 0,
    gaps: 0,
    skippedBytes: 0,
    formerNodes: [],
    foreign: 0,
  };
  return withScanParts(parts, options.deadlineMs ?? 30_000, async (scan) => {
    const epochs = await takeOver(parts, options, report);
    const commits = new CommitBuffer(directory, (rows, row) =>
      yieldsPlace({ ...scan, directory }, rows, row),
    );
    const buried = new Buried();
    const opened = new Set<number>();
    const inOrder = directory.segments().sort((a, b) => a.epoch - b.epoch || a.index - b.index);
    for (const segment of inOrder) {
      const epoch = epochs.get(segment.node) ?? 0;
      if (segment.state === 'open') {
        if (segment.epoch >= epoch) continue;
        if (segment.durableCommits === true) {
          await closeOnly(directory, segment, report);
          continue;
        }
        opened.add(segment.namespace);
      } else if (!opened.has(segment.namespace) || segment.state === 'dead') {
        // A block that is committed again may have been removed later, by a segment that is closed already.
        continue;
      }
      try {
        commits.as(segment.node, epoch);
        await recoverSegment(parts, scan, segment, commits, buried, report);
      } catch (error) {
        if (error instanceof RefillError && error.code === 'ERR_VERSION') throw error;
        report.unreadable++;
        parts.log?.error('%s cannot be recovered: %o', segmentPath(segment.id), error);
      }
    }
    report.blocks = commits.accepted;
    return report;
  });
}

/** Epochs under which to commit for each node whose open segments are closed here. */
async function takeOver(
  { directory, log }: RecoveryParts,
  { node, epoch, isFormer }: RecoveryOptions,
  report: RecoveryReport,
): Promise<Map<string, number>> {
  const epochs = new Map([[node, epoch]]);
  const open = new Map<string, number>();
  for (const segment of directory.segments()) {
    if (segment.node === node) continue;
    open.set(segment.node, (open.get(segment.node) ?? 0) + (segment.state === 'open' ? 1 : 0));
  }
  for (const [other, count] of open) {
    if ((await isFormer?.(other)) === true) {
      report.formerNodes.push(other);
      if (count > 0) epochs.set(other, await directory.acquireEpoch(other));
    } else if (count > 0) {
      report.foreign += count;
      log?.error('%d open segments of node %s are left alone: it may still run', count, other);
    }
  }
  return epochs;
}

/**
 * Its commits waited for the disk of the database, which so knows all that was acknowledged; what it does not know of the
 * segment may have been deleted by another node since, and must not come back.
 */
async function closeOnly(
  directory: Directory,
  { index, sizeBytes }: SegmentRecord,
  report: RecoveryReport,
): Promise<void> {
  if (await directory.moveSegment(index, 'open', 'abandoned', sizeBytes)) report.segments++;
}

async function recoverSegment(
  parts: RecoveryParts,
  scan: ScanParts,
  segment: SegmentRecord,
  commits: CommitBuffer,
  buried: Buried,
  report: RecoveryReport,
): Promise<void> {
  const { directory } = parts;
  const wasOpen = segment.state === 'open';
  const contents = await contentsOf(parts, scan, segment);
  if (wasOpen) {
    report.gaps += contents.gaps;
    report.skippedBytes += contents.skippedBytes;
  }
  for (const batch of contents.batches) {
    if (isTombstoneBatch(batch)) {
      await commits.flush();
      await applyTombstones(directory, batch, segment, buried);
      continue;
    }
    if (!wasOpen) continue;
    for (let i = 0; i < batch.blocks; i++) {
      const page = batch.entries[i * ENTRY_WORDS + ENTRY.offsetPages]!;
      if (batch.whole?.[i] === 0) report.torn++;
      else if (!buried.has(segment.id, page))
        await commits.add(batch.entries, i, segment.namespace, segment.index);
    }
  }
  await commits.flush();
  if (!wasOpen) return;
  await directory.moveSegment(
    segment.index,
    'open',
    contents.sealed ? 'sealed' : 'abandoned',
    contents.endBytes,
  );
  report.segments++;
}

/**
 * What a segment holds, by what the directory knows of it: its header page may be damaged. Without that page and a
 * first batch nothing was ever synced, for they go out together.
 */
async function contentsOf(
  { io, directory }: RecoveryParts,
  scan: ScanParts,
  segment: SegmentRecord,
): Promise<SegmentContents> {
  const { deadlineMs } = scan;
  const namespaceId = directory.namespace(segment.namespace)?.id ?? new Uint8Array(16);
  const identity = { segmentId: segment.id, namespaceId, epoch: segment.epoch };
  const nothing = { sealed: false, endBytes: 0, gaps: 0, skippedBytes: 0, batches: [] };
  let file: number;
  try {
    file = await io.open(segmentPath(segment.id), {
      direct: true,
      identity: fileIdentity(identity),
      deadlineMs,
    });
  } catch (error) {
    // The crash came between the record and the file: nothing was ever written.
    if (isGone(errnoOf(error))) return nothing;
    throw error;
  }
  try {
    const sizeBytes = Math.min(segment.sizeBytes, (await fileBytes(io, segment.id, deadlineMs)) ?? 0);
    if (sizeBytes < 2 * PAGE_BYTES) return nothing;
    const owner = { ...identity, sizeBytes };
    const begun =
      (await readSegmentHeader(scan, file)) !== undefined ||
      (await batchAt(scan, file, owner, PAGE_BYTES, 0)) !== undefined;
    return begun ? await readContents(scan, file, owner) : nothing;
  } finally {
    io.close(file);
  }
}
