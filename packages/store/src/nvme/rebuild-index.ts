import { type BlockIO, type Clock, type Directory, PAGE_BYTES, RefillError } from '@refill/interface';
import { scanBatches } from '../segment/batch-scan.ts';
import { withScanParts } from '../segment/scan-parts.ts';
import { sameBytes } from '../segment/segment-bytes.ts';
import { fileBytes } from '../segment/segment-contents.ts';
import { ENTRY, ENTRY_WORDS } from '../segment/segment-format.ts';
import type { SegmentHeader } from '../segment/segment-header.ts';
import { listSegments } from '../segment/segment-list.ts';
import { segmentPath } from '../segment/segment-path.ts';
import { readFooter, readSegmentHeader, type ScanParts } from '../segment/segment-scan.ts';
import { isTombstoneBatch } from '../segment/tombstones.ts';
import type { Scratch } from '../shared-tier.ts';
import type { NvmeIndex } from './nvme-index.ts';
import { originSegmentId } from './origin.ts';

export interface RebuildIndexParts {
  io: BlockIO;
  clock: Clock;
  scratch: Scratch;
  directory: Pick<Directory, 'namespaces' | 'segmentById'>;
  index: NvmeIndex;
  log?: { error(format: string, ...args: unknown[]): void } | undefined;
}

export interface RebuiltIndex {
  segments: number;
  blocks: number;
  /** Files that hold nothing of use: damaged, of a namespace that is gone, of another version. They are unlinked. */
  dropped: number;
}

/** Batches of at most 256 blocks that are taken in without a pause. */
const BATCHES_AT_ONCE = 8;
/** Files looked at together. */
const READERS = 4;

/**
 * Takes in what earlier starts left on the disk: footers where there are any, else batch headers. No payload is read:
 * each is verified when it is asked for. What the cluster no longer has is left out. A file that cannot be made use of
 * is unlinked: it holds copies only. Rejects when the disk does not list its files; `proceed` ends it early.
 */
export function rebuildIndex(
  parts: RebuildIndexParts,
  options: { deadlineMs: number; proceed: () => boolean },
): Promise<RebuiltIndex> {
  return withScanParts(parts, options.deadlineMs, async (scan) => {
    const rebuilt = { segments: 0, blocks: 0, dropped: 0 };
    const headers = await readHeaders(parts, scan, options.proceed, rebuilt);
    let next = 0;
    const reader = async (): Promise<void> => {
      while (next < headers.length && options.proceed()) await takeIn(parts, scan, headers[next++]!, rebuilt);
    };
    await Promise.all(Array.from({ length: READERS }, reader));
    return rebuilt;
  });
}

/** Headers of the files that can be of use, in the order in which the files were made. */
async function readHeaders(
  parts: RebuildIndexParts,
  scan: ScanParts,
  proceed: () => boolean,
  rebuilt: RebuiltIndex,
): Promise<SegmentHeader[]> {
  const { io } = parts;
  const ids = await listSegments(io, scan.deadlineMs);
  const headers: SegmentHeader[] = [];
  let next = 0;
  const reader = async (): Promise<void> => {
    while (next < ids.length && proceed()) {
      const id = ids[next++]!;
      const header = await headerOf(parts, scan, id).catch((error) => failure(parts, id, error));
      if (header === 'keep') continue;
      if (header === undefined) await drop(parts, scan, id, rebuilt);
      else headers.push(header);
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return headers.sort((a, b) => a.epoch - b.epoch || a.createdMs - b.createdMs);
}

/** The header of a file with a namespace that the cluster knows. */
async function headerOf(
  { io, directory }: RebuildIndexParts,
  scan: ScanParts,
  id: Uint8Array,
): Promise<SegmentHeader | undefined> {
  const sizeBytes = await fileBytes(io, id, scan.deadlineMs);
  if (sizeBytes === undefined || sizeBytes < 2 * PAGE_BYTES) return undefined;
  const file = await io.open(segmentPath(id), { direct: true, deadlineMs: scan.deadlineMs });
  try {
    const header = await readSegmentHeader(scan, file);
    if (header === undefined || !sameBytes(header.segmentId, id)) return undefined;
    header.sizeBytes = Math.min(header.sizeBytes, sizeBytes);
    return directory.namespaces().some((known) => sameBytes(known.id, header.namespaceId))
      ? header
      : undefined;
  } finally {
    io.close(file);
  }
}

async function takeIn(
  parts: RebuildIndexParts,
  scan: ScanParts,
  header: SegmentHeader,
  rebuilt: RebuiltIndex,
): Promise<void> {
  const { io, directory, index } = parts;
  const namespace = directory.namespaces().find(({ id }) => sameBytes(id, header.namespaceId));
  if (namespace === undefined) return;
  const record = await index.createSegment({
    id: header.segmentId,
    namespace: namespace.index,
    node: header.node,
    epoch: header.epoch,
    sizeBytes: header.sizeBytes,
    restored: true,
  });
  const segment = index.segment(record.index)!;
  let endBytes = header.sizeBytes;
  let isSealed = false;
  const isStored = storedOf(directory);
  try {
    const path = segmentPath(header.segmentId);
    const file = await io.open(path, { direct: true, deadlineMs: scan.deadlineMs });
    try {
      const footer = await readFooter(scan, file, header);
      const scanned = footer ?? (await scanBatches(scan, file, header));
      endBytes = 'trailer' in scanned ? scanned.trailer.endBytes : scanned.endBytes;
      isSealed = footer !== undefined;
      for (const [at, { entries, blocks }] of scanned.batches.entries()) {
        // The node serves meanwhile.
        if (at % BATCHES_AT_ONCE === 0) await new Promise<void>((resolve) => scan.clock.after(0, resolve));
        if (isTombstoneBatch({ entries })) continue;
        for (let block = 0; block < blocks; block++) {
          if (!isStored(entries, block)) continue;
          if (index.restore(entries, block, segment)) rebuilt.blocks++;
        }
      }
    } finally {
      io.close(file);
    }
  } catch (error) {
    failure(parts, header.segmentId, error);
  }
  rebuilt.segments++;
  // One that holds nothing is dead by this, and unlinked with the next that goes.
  await index.moveSegment(segment.index, 'open', isSealed ? 'sealed' : 'abandoned', endBytes);
}

/** Tells whether the bytes that an entry is a copy of are still on the shared file system. Neighbours were so there. */
function storedOf(
  directory: RebuildIndexParts['directory'],
): (entries: Uint32Array, block: number) => boolean {
  let last: Uint8Array | undefined;
  let isThere = false;
  return (entries, block) => {
    const id = originSegmentId(entries, block * ENTRY_WORDS + ENTRY.parent);
    if (last === undefined || !sameBytes(last, id)) {
      const origin = directory.segmentById(id);
      isThere = origin !== undefined && origin.state !== 'dead';
      last = id;
    }
    return isThere;
  };
}

/** A file of another version is of no use to this one; any other error is the disk's, and the file is left alone. */
function failure({ log }: RebuildIndexParts, id: Uint8Array, error: unknown): undefined | 'keep' {
  log?.error('%s cannot be taken in: %s', segmentPath(id), (error as Error).message);
  return error instanceof RefillError && error.code === 'ERR_VERSION' ? undefined : 'keep';
}

async function drop(
  { io, log }: RebuildIndexParts,
  scan: ScanParts,
  id: Uint8Array,
  rebuilt: RebuiltIndex,
): Promise<void> {
  rebuilt.dropped++;
  await io.unlink(segmentPath(id), { deadlineMs: scan.deadlineMs }).catch((error) => {
    log?.error('%s cannot be unlinked: %s', segmentPath(id), (error as Error).message);
  });
}
