import {
  type BlockIO,
  type Clock,
  type Directory,
  PAGE_BYTES,
  RefillError,
  type SegmentRecord,
} from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
import { CommitBuffer } from './commit-buffer.ts';
import { errnoOf, isGone } from './errno.ts';
import { fileIdentity } from './file-identity.ts';
import { withScanParts } from './scan-parts.ts';
import { sameBytes } from './segment-bytes.ts';
import { segmentPath } from './segment-path.ts';
import { readFooter, readSegmentHeader, type ScanParts, scanBatches, verifyBatch } from './segment-scan.ts';
import { applyTombstones, isTombstoneBatch } from './tombstones.ts';

export interface RecoveryParts {
  io: BlockIO;
  directory: Directory;
  scratch: Scratch;
  clock: Clock;
  log?: { error(format: string, ...args: unknown[]): void };
}

export interface RecoveryReport {
  /** Segments that an earlier incarnation left open and that are closed now. */
  segments: number;
  /** Blocks that the directory did not have. */
  blocks: number;
  /** Blocks of the last batches whose payloads were not whole. */
  torn: number;
  /** Segments that could not be read; they stay open and are tried again at the next start. */
  unreadable: number;
}

/**
 * Closes what earlier incarnations of this node left open: what their batches hold and the directory lacks is
 * committed, then the segment is `sealed` (its footer is whole) or `abandoned`. Nothing is ever appended to it. Run
 * after `acquireEpoch` and before the tier starts. Payloads that the writer knew to be durable are trusted, those
 * behind are read and verified. A crash in between loses nothing: the next run does the same again.
 * Rejects with `ERR_VERSION` when a newer Refill wrote one of them.
 */
export function recoverSegments(
  parts: RecoveryParts,
  options: { node: string; epoch: number; deadlineMs?: number },
): Promise<RecoveryReport> {
  const { directory } = parts;
  const report: RecoveryReport = { segments: 0, blocks: 0, torn: 0, unreadable: 0 };
  const own = directory
    .segments()
    .filter((segment) => segment.node === options.node && segment.epoch < options.epoch)
    .sort((a, b) => a.epoch - b.epoch || a.index - b.index);
  const commits = new CommitBuffer(directory);
  commits.as(options.node, options.epoch);
  return withScanParts(parts, options.deadlineMs ?? 30_000, async (scan) => {
    const opened = new Set<number>();
    for (const segment of own) {
      // A block that is committed again here may have been removed later, by a segment that is closed already.
      if (segment.state === 'open') opened.add(segment.namespace);
      else if (!opened.has(segment.namespace) || segment.state === 'dead') continue;
      try {
        await recoverSegment(parts, scan, segment, commits, report);
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

async function recoverSegment(
  parts: RecoveryParts,
  scan: ScanParts,
  segment: SegmentRecord,
  commits: CommitBuffer,
  report: RecoveryReport,
): Promise<void> {
  const { io, directory } = parts;
  const wasOpen = segment.state === 'open';
  const close = async (state: 'sealed' | 'abandoned', endBytes: number): Promise<void> => {
    if (!wasOpen) return;
    await directory.moveSegment(segment.index, 'open', state, endBytes);
    report.segments++;
  };
  const namespaceId = directory.namespace(segment.namespace)?.id ?? new Uint8Array(16);
  let file: number;
  try {
    file = await io.open(segmentPath(segment.id), {
      direct: true,
      identity: fileIdentity({ segmentId: segment.id, namespaceId, epoch: segment.epoch }),
      deadlineMs: scan.deadlineMs,
    });
  } catch (error) {
    if (!isGone(errnoOf(error))) throw error;
    // The crash came between the record and the file: nothing was ever written.
    await close('abandoned', 0);
    return;
  }
  try {
    const header = await readSegmentHeader(scan, file);
    if (header === undefined || !sameBytes(header.segmentId, segment.id)) {
      // The header page goes out with the first batch, so without it no batch was synced.
      await close('abandoned', 0);
      return;
    }
    const sealed = (await readFooter(scan, file, header)) !== undefined;
    const scanned = await scanBatches(scan, file, header);
    for (const batch of scanned.batches) {
      if (isTombstoneBatch(batch)) {
        await commits.flush();
        await applyTombstones(directory, batch, segment);
        continue;
      }
      if (!wasOpen) continue;
      const trusted = sealed || batch.offset + batch.totalBytes <= scanned.syncedBytes;
      const whole = trusted ? undefined : await verifyBatch(scan, file, batch);
      for (let i = 0; i < batch.blocks; i++) {
        if (whole !== undefined && whole[i] === 0) report.torn++;
        else await commits.add(batch.entries, i, segment.namespace, segment.index);
      }
    }
    await commits.flush();
    await close(sealed ? 'sealed' : 'abandoned', Math.max(PAGE_BYTES, scanned.endBytes));
  } finally {
    io.close(file);
  }
}
