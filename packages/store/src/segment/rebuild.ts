import { type BlockIO, type Clock, type Directory, PAGE_BYTES, type SegmentRecord } from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
import { CommitBuffer } from './commit-buffer.ts';
import { errnoOf, isGone } from './errno.ts';
import { fileIdentity } from './file-identity.ts';
import type { FooterBatch } from './footer.ts';
import { withScanParts } from './scan-parts.ts';
import { hexOf, sameBytes } from './segment-bytes.ts';
import type { SegmentHeader } from './segment-header.ts';
import { SEGMENTS_FOLDER, segmentIdOf, segmentPath } from './segment-path.ts';
import { readFooter, readSegmentHeader, type ScanParts, scanBatches, verifyBatch } from './segment-scan.ts';
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

interface Contents {
  sealed: boolean;
  endBytes: number;
  batches: (FooterBatch & { whole: Uint8Array | undefined })[];
}

/**
 * Makes the directory anew from segments alone (guarantee 4): footers where there are any, batch headers elsewhere.
 * No node may be writing. Segments are taken in the order of (epoch, first sequence, id), so that of two writes of a
 * key the first wins and a tombstone removes only what was written before it. Segments of a writer that did not seal
 * them become `abandoned`. Every node gets an epoch above all of its own: a writer that was forgotten is fenced.
 * A crash in between is mended by running it again: it starts with `directory.reset()`.
 * Rejects with `ERR_VERSION` when a newer Refill wrote a segment, before anything is dropped.
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
  };
  const found = await findSegments(parts, scan, readAhead, progress);
  progress.segmentsTotal = found.length;
  await directory.reset();
  const epochs = await raiseEpochs(directory, found);
  const commits = new CommitBuffer(directory);
  const ahead: Promise<Contents>[] = [];
  for (const [position, { header }] of found.entries()) {
    for (let next = position + ahead.length; next < found.length && ahead.length < readAhead; next++) {
      const reading = readContents(parts, scan, found[next]!.header);
      // Its failure is met when its turn comes.
      reading.catch(() => {});
      ahead.push(reading);
    }
    const contents = await ahead.shift()!;
    commits.as(header.node, epochs.get(header.node)!);
    await restore(directory, header, contents, commits, progress);
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
  const ids: Uint8Array[] = [];
  for (const folder of await io.list(SEGMENTS_FOLDER, { deadlineMs: scan.deadlineMs })) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    for (const name of await io.list(`${SEGMENTS_FOLDER}/${folder}`, { deadlineMs: scan.deadlineMs })) {
      const id = segmentIdOf(name);
      if (id !== undefined && name.startsWith(folder)) ids.push(id);
    }
  }
  const found: Found[] = [];
  const read = async (id: Uint8Array): Promise<void> => {
    const one = await findSegment(io, scan, id);
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
    const stat = await io.stat(segmentPath(id), { deadlineMs: scan.deadlineMs });
    if (stat === undefined || stat.sizeBytes < 2 * PAGE_BYTES) return undefined;
    const header = await readSegmentHeader(scan, file);
    if (header === undefined || !sameBytes(header.segmentId, id)) return undefined;
    // A truncated file is read as far as it goes; its trailer, if it had one, is lost.
    if (stat.sizeBytes < header.sizeBytes) header.sizeBytes = stat.sizeBytes - (stat.sizeBytes % PAGE_BYTES);
    const first = await scanBatches(scan, file, header, 1);
    return { header, firstSequence: first.batches[0]?.sequence ?? 0 };
  } finally {
    io.close(file);
  }
}

/** A current epoch for each node, above those of all its segments. */
async function raiseEpochs(directory: Directory, found: readonly Found[]): Promise<Map<string, number>> {
  const highest = new Map<string, number>();
  for (const { header } of found) {
    highest.set(header.node, Math.max(header.epoch, highest.get(header.node) ?? 0));
  }
  const epochs = new Map<string, number>();
  for (const [node, above] of highest) {
    let epoch = await directory.acquireEpoch(node);
    // The counters are lost with the database: they count up again to where they were.
    while (epoch <= above) epoch = await directory.acquireEpoch(node);
    epochs.set(node, epoch);
  }
  return epochs;
}

/** What a segment holds: its footer, or its batches as far as their headers are whole. */
async function readContents(parts: RebuildParts, scan: ScanParts, header: SegmentHeader): Promise<Contents> {
  const { io } = parts;
  const file = await io.open(segmentPath(header.segmentId), {
    direct: true,
    identity: fileIdentity(header),
    deadlineMs: scan.deadlineMs,
  });
  try {
    const footer = await readFooter(scan, file, header);
    if (footer !== undefined) {
      const batches = footer.batches.map((batch) => ({ ...batch, whole: undefined }));
      return { sealed: true, endBytes: footer.trailer.endBytes, batches };
    }
    const scanned = await scanBatches(scan, file, header);
    const batches: Contents['batches'] = [];
    for (const batch of scanned.batches) {
      const trusted = batch.offset + batch.totalBytes <= scanned.syncedBytes;
      batches.push({ ...batch, whole: trusted ? undefined : await verifyBatch(scan, file, batch) });
    }
    return { sealed: false, endBytes: scanned.endBytes, batches };
  } finally {
    io.close(file);
  }
}

async function restore(
  directory: Directory,
  header: SegmentHeader,
  contents: Contents,
  commits: CommitBuffer,
  progress: RebuildProgress,
): Promise<void> {
  const namespace = await directory.openNamespace(header.fingerprint, header.policy);
  const segment: SegmentRecord = await directory.createSegment({
    id: header.segmentId,
    namespace: namespace.index,
    node: header.node,
    epoch: header.epoch,
    sizeBytes: header.sizeBytes,
    restored: true,
  });
  for (const batch of contents.batches) {
    if (isTombstoneBatch(batch)) {
      await commits.flush();
      await applyTombstones(directory, batch, segment);
      continue;
    }
    progress.blocks += batch.blocks;
    for (let i = 0; i < batch.blocks; i++) {
      if (batch.whole !== undefined && batch.whole[i] === 0) {
        progress.torn++;
        continue;
      }
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
