import {
  type BlockIO,
  type Clock,
  type Directory,
  PAGE_BYTES,
  RefillError,
  type SegmentRecord,
} from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
import { batchAt, scanBatches } from './batch-scan.ts';
import { Buried } from './buried.ts';
import { CommitBuffer } from './commit-buffer.ts';
import { yieldsPlace } from './contested.ts';
import { errnoOf, isGone } from './errno.ts';
import { fileIdentity } from './file-identity.ts';
import { withScanParts } from './scan-parts.ts';
import { hexOf, sameBytes } from './segment-bytes.ts';
import { fileBytes, readContents, type SegmentContents } from './segment-contents.ts';
import { ENTRY, ENTRY_WORDS } from './segment-format.ts';
import type { SegmentHeader } from './segment-header.ts';
import { listSegments } from './segment-list.ts';
import { segmentPath } from './segment-path.ts';
import { readSegmentHeader, readTrailer, type ScanParts } from './segment-scan.ts';
import { applyTombstones, isTombstoneBatch } from './tombstones.ts';

export interface RebuildParts {
  io: BlockIO;
  directory: Directory;
  scratch: Scratch;
  clock: Clock;
  log?: { error(format: string, ...args: unknown[]): void };
}

export interface RebuildProgress {
  segmentsTotal: number;
  segments: number;
  /** Blocks described in segments so far, and those of them that are in the directory as their first write. */
  blocks: number;
  blocksRestored: number;
  torn: number;
  /** Files that hold no readable segment: left alone. */
  skipped: number;
  /** Damaged places in chains of batch headers, and the bytes up to the next whole header. */
  gaps: number;
  skippedBytes: number;
}

export interface RebuildOptions {
  onProgress?: (progress: RebuildProgress) => void;
  deadlineMs?: number;
  /** Segments read at the same time. Default 8. */
  readAhead?: number;
}

interface Found {
  header: SegmentHeader;
  firstSequence: number;
}

/**
 * Makes the directory anew from segments alone (guarantee 4): footers where there are any, batch headers elsewhere.
 * No node may be writing. Segments are taken in the order of (epoch, first sequence, id), so that of two writes of a
 * key the first that is whole wins and a tombstone removes only what was written before it. Segments of a writer that
 * did not seal them become `abandoned`. Every node gets an epoch above all that were found: a writer that was forgotten
 * is fenced. A crash in between is mended by running it again: it starts with `directory.reset()`.
 * Rejects with `ERR_VERSION` when a newer Refill wrote a segment, and with `ERR_STORAGE_FAILED` naming a file that the
 * file system does not give out: to go on without it would drop blocks that are only out of reach for now.
 */
export function rebuildDirectory(
  parts: RebuildParts,
  options: RebuildOptions = {},
): Promise<RebuildProgress> {
  return withScanParts(parts, options.deadlineMs ?? 30_000, (scan) => rebuild(parts, scan, options));
}

async function rebuild(
  parts: RebuildParts,
  scan: ScanParts,
  options: RebuildOptions,
): Promise<RebuildProgress> {
  const { directory } = parts;
  const readAhead = options.readAhead ?? 8;
  const progress: RebuildProgress = {
    segmentsTotal: 0,
    segments: 0,
    blocks: 0,
    blocksRestored: 0,
    torn: 0,
    skipped: 0,
    gaps: 0,
    skippedBytes: 0,
  };
  const found = await findSegments(parts, scan, readAhead, progress);
  progress.segmentsTotal = found.length;
  await directory.reset();
  // Hard state, with policies as they were set last; what is not among them has its policy from its segments.
  const kept = new Set(directory.namespaces().map(({ id }) => hexOf(id)));
  const epochs = await raiseEpochs(directory, found);
  const commits = new CommitBuffer(directory, (rows, row) => yieldsPlace({ ...scan, directory }, rows, row));
  const buried = new Buried();
  const ahead: Promise<SegmentContents>[] = [];
  for (const [position, { header }] of found.entries()) {
    for (let next = position + ahead.length; next < found.length && ahead.length < readAhead; next++) {
      const reading = contentsOf(parts, scan, found[next]!.header);
      // Its failure is met when its turn comes.
      reading.catch(() => {});
      ahead.push(reading);
    }
    const contents = await ahead.shift()!;
    commits.as(header.node, epochs.get(header.node)!);
    await restore(directory, header, kept, contents, commits, buried, progress);
    progress.segments++;
    progress.blocksRestored = commits.accepted;
    options.onProgress?.(progress);
  }
  await directory.checkpoint();
  return progress;
}

/** Every segment whose header is whole, in the order in which they were written. */
async function findSegments(
  parts: RebuildParts,
  scan: ScanParts,
  readAhead: number,
  progress: RebuildProgress,
): Promise<Found[]> {
  const { io, log } = parts;
  const ids = await listSegments(io, scan.deadlineMs);
  const found: Found[] = [];
  const read = async (id: Uint8Array): Promise<void> => {
    const one = await named(id, findSegment(io, scan, id));
    if (one !== undefined) found.push(one);
    else {
      progress.skipped++;
      log?.error('%s holds no readable segment', segmentPath(id));
    }
  };
  let next = 0;
  const reader = async (): Promise<void> => {
    while (next < ids.length) await read(ids[next++]!);
  };
  await Promise.all(Array.from({ length: readAhead }, reader));
  return found.sort(
    (a, b) =>
      a.header.epoch - b.header.epoch ||
      a.firstSequence - b.firstSequence ||
      (hexOf(a.header.segmentId) < hexOf(b.header.segmentId) ? -1 : 1),
  );
}

async function findSegment(io: BlockIO, scan: ScanParts, id: Uint8Array): Promise<Found | undefined> {
  let file: number;
  try {
    file = await io.open(segmentPath(id), { direct: true, deadlineMs: scan.deadlineMs });
  } catch (error) {
    if (isGone(errnoOf(error))) return undefined;
    throw error;
  }
  try {
    const sizeBytes = await fileBytes(io, id, scan.deadlineMs);
    if (sizeBytes === undefined || sizeBytes < 2 * PAGE_BYTES) return undefined;
    const header = await readSegmentHeader(scan, file);
    if (header === undefined || !sameBytes(header.segmentId, id)) return undefined;
    // A truncated file is read as far as it goes; its trailer, if it had one, is lost.
    header.sizeBytes = Math.min(header.sizeBytes, sizeBytes);
    const first = await batchAt(scan, file, header, PAGE_BYTES, 0);
    if (first !== undefined) return { header, firstSequence: first.sequence };
    const trailer = await readTrailer(scan, file, header);
    if (trailer !== undefined) return { header, firstSequence: trailer.firstSequence };
    const { batches } = await scanBatches(scan, file, header);
    return { header, firstSequence: batches[0]?.sequence ?? 0 };
  } finally {
    io.close(file);
  }
}

/** An error that says which file it is about. */
async function named<T>(id: Uint8Array, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof RefillError) || error.code !== 'ERR_STORAGE_FAILED') throw error;
    throw new RefillError('ERR_STORAGE_FAILED', `${segmentPath(id)}: ${error.message}`, {
      errno: error.errno,
      cause: error,
      fix: 'Mend the file system, or move the file out of the root to go on without its blocks',
    });
  }
}

/** A current epoch for each node, above those of all segments. */
async function raiseEpochs(directory: Directory, found: readonly Found[]): Promise<Map<string, number>> {
  const highest = found.reduce((epoch, { header }) => Math.max(epoch, header.epoch), 0);
  const epochs = new Map<string, number>();
  for (const node of new Set(found.map(({ header }) => header.node))) {
    let epoch = await directory.acquireEpoch(node);
    // The counter is lost with the database: it counts up again to where it was.
    while (epoch <= highest) epoch = await directory.acquireEpoch(node);
    epochs.set(node, epoch);
  }
  return epochs;
}

async function contentsOf(
  { io }: RebuildParts,
  scan: ScanParts,
  header: SegmentHeader,
): Promise<SegmentContents> {
  const { deadlineMs } = scan;
  const read = async (): Promise<SegmentContents> => {
    const file = await io.open(segmentPath(header.segmentId), {
      direct: true,
      identity: fileIdentity(header),
      deadlineMs,
    });
    try {
      return await readContents(scan, file, header);
    } finally {
      io.close(file);
    }
  };
  return named(header.segmentId, read());
}

async function restore(
  directory: Directory,
  header: SegmentHeader,
  kept: ReadonlySet<string>,
  contents: SegmentContents,
  commits: CommitBuffer,
  buried: Buried,
  progress: RebuildProgress,
): Promise<void> {
  const policy = kept.has(hexOf(header.namespaceId)) ? {} : header.policy;
  const namespace = await directory.openNamespace(header.fingerprint, policy);
  const segment: SegmentRecord = await directory.createSegment({
    id: header.segmentId,
    namespace: namespace.index,
    node: header.node,
    epoch: header.epoch,
    sizeBytes: header.sizeBytes,
    restored: true,
  });
  progress.gaps += contents.gaps;
  progress.skippedBytes += contents.skippedBytes;
  for (const batch of contents.batches) {
    if (isTombstoneBatch(batch)) {
      await commits.flush();
      await applyTombstones(directory, batch, segment, buried);
      continue;
    }
    progress.blocks += batch.blocks;
    for (let i = 0; i < batch.blocks; i++) {
      if (batch.whole !== undefined && batch.whole[i] === 0) {
        progress.torn++;
        continue;
      }
      if (buried.has(segment.id, batch.entries[i * ENTRY_WORDS + ENTRY.offsetPages]!)) continue;
      const full = commits.add(batch.entries, i, namespace.index, segment.index);
      if (full !== undefined) await full;
    }
  }
  await commits.flush();
  await directory.moveSegment(
    segment.index,
    'open',
    contents.sealed ? 'sealed' : 'abandoned',
    contents.endBytes,
  );
}
