import { type BlockIO, type Clock, type Directory, RefillError } from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
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
 */
export function findUnknownSegments(
  parts: { io: BlockIO; directory: Directory; scratch: Scratch; clock: Clock },
  options: { deadlineMs?: number } = {},
): Promise<Uint8Array[]> {
  const { io, directory } = parts;
  return withScanParts(parts, options.deadlineMs ?? 30_000, async (scan) => {
    const unknown: Uint8Array[] = [];
    for (const id of await listSegments(io, scan.deadlineMs)) {
      if (directory.segmentById(id) !== undefined) continue;
      if (await isReadable(io, scan, id)) unknown.push(id);
    }
    return unknown;
  });
}

/** One that cannot be read would not be restored either, and must not keep the node from starting. */
async function isReadable(io: BlockIO, scan: ScanParts, id: Uint8Array): Promise<boolean> {
  const { deadlineMs } = scan;
  let file: number | undefined;
  try {
    file = await io.open(segmentPath(id), { direct: true, deadlineMs });
    if (((await fileBytes(io, id, deadlineMs)) ?? 0) === 0) return false;
    const header = await readSegmentHeader(scan, file);
    return header !== undefined && sameBytes(header.segmentId, id);
  } catch (error) {
    if (error instanceof RefillError && error.code === 'ERR_STORAGE_FAILED') return false;
    throw error;
  } finally {
    if (file !== undefined) io.close(file);
  }
}
