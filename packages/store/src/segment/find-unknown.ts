import { type BlockIO, type Clock, type Directory, RefillError } from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
import { errnoOf, isGone } from './errno.ts';
import { withScanParts } from './scan-parts.ts';
import { sameBytes } from './segment-bytes.ts';
import { fileBytes } from './segment-contents.ts';
import { listSegments } from './segment-list.ts';
import { segmentPath } from './segment-path.ts';
import { readSegmentHeader, type ScanParts } from './segment-scan.ts';

/**
 * Segments whose files are there and that the directory does not know. A record is durable before its file exists and
 * is forgotten only after the file was durably unlinked, so a readable one means that the directory fell behind: its
 * database was lost, or set back to an earlier state. Then only a rebuild has the order of writes right.
 *
 * `namesSettleMs`: a directory that knows no segment is new, or was lost; then names that other hosts made just before are
 * waited for. Nothing acknowledged is younger, when acknowledging takes this directory.
 */
export function findUnknownSegments(
  parts: { io: BlockIO; directory: Directory; scratch: Scratch; clock: Clock },
  options: { deadlineMs?: number; namesSettleMs?: number } = {},
): Promise<Uint8Array[]> {
  const { io, directory } = parts;
  return withScanParts(parts, options.deadlineMs ?? 30_000, async (scan) => {
    const unknown: Uint8Array[] = [];
    if (directory.segments().length === 0) await pause(scan.clock, options.namesSettleMs ?? 0);
    let unsure = (await listSegments(io, scan.deadlineMs)).filter(
      (id) => directory.segmentById(id) === undefined,
    );
    for (const pauseMs of PAUSES_MS) {
      if (unsure.length === 0) break;
      await pause(scan.clock, pauseMs);
      const asked = unsure;
      unsure = [];
      for (const id of asked) {
        const isThere = await isReadable(io, scan, id);
        if (isThere === undefined) unsure.push(id);
        else if (isThere) unknown.push(id);
      }
    }
    return unknown;
  });
}

/**
 * Before files that the file system fails to read are asked for again: an error that passes must not hide that the
 * database was lost. One that stays would not be restored either, and must not keep the node from starting.
 */
const PAUSES_MS = [0, 100, 1000, 3000];

async function pause(clock: Clock, ms: number): Promise<void> {
  if (ms > 0) await new Promise<void>((resolve) => clock.after(ms, resolve));
}

/** Whether it is a segment; `undefined` when the file system does not say. */
async function isReadable(io: BlockIO, scan: ScanParts, id: Uint8Array): Promise<boolean | undefined> {
  const { deadlineMs } = scan;
  let file: number | undefined;
  try {
    file = await io.open(segmentPath(id), { direct: true, deadlineMs });
    if (((await fileBytes(io, id, deadlineMs)) ?? 0) === 0) return false;
    const header = await readSegmentHeader(scan, file);
    return header !== undefined && sameBytes(header.segmentId, id);
  } catch (error) {
    if (isGone(errnoOf(error))) return false;
    if (error instanceof RefillError && error.code === 'ERR_STORAGE_FAILED') return undefined;
    throw error;
  } finally {
    if (file !== undefined) io.close(file);
  }
}
