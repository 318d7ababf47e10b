import {
  type BlockIO,
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  type Directory,
  IO_FLAG,
  IO_OP,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  PAGE_BYTES,
  pushIo,
  setIoKey,
} from '@refill/interface';
import { ERRNO, errnoOf, isGone } from './errno.ts';
import { fileIdentity } from './file-identity.ts';
import { ioResult } from './io-batches.ts';
import { pagesUp } from './segment-bytes.ts';
import { segmentPath } from './segment-path.ts';
import type { ScanParts } from './segment-scan.ts';
import { holdTimedOut } from './write-run.ts';

/**
 * A block was found in a segment while the directory has its key elsewhere. The first complete write wins, but only a
 * complete one: where the block that the directory names is damaged or gone, it leaves the directory. True then: the
 * later write is committed in its place. Otherwise a block that had rotted, had been missed, put again and acknowledged
 * would be lost with the database. What cannot be read for another reason keeps its place.
 */
export async function yieldsPlace(
  parts: ScanParts & { io: BlockIO; directory: Directory },
  rows: Uint32Array,
  row: number,
): Promise<boolean> {
  const { directory } = parts;
  const at = row * COMMIT_ROW_WORDS;
  const namespace = rows[at + COMMIT_ROW.namespace]!;
  const key = rows.slice(at + COMMIT_ROW.key, at + COMMIT_ROW.key + 8);
  const location = new Uint32Array(LOCATION_ROW_WORDS);
  await directory.lookup(namespace, key, 1, location);
  if (location[LOCATION_ROW.found] === 0) return true;
  if (!(await isDamaged(parts, namespace, key, location))) return false;
  await directory.removeAt(
    namespace,
    key,
    location[LOCATION_ROW.segment]!,
    location[LOCATION_ROW.offsetPages]!,
  );
  return true;
}

async function isDamaged(
  parts: ScanParts & { io: BlockIO; directory: Directory },
  namespace: number,
  key: Uint32Array,
  location: Uint32Array,
): Promise<boolean> {
  const { io, directory, deadlineMs, lease, batches } = parts;
  const segment = directory.segment(location[LOCATION_ROW.segment]!);
  const namespaceId = directory.namespace(namespace)?.id;
  if (segment === undefined || namespaceId === undefined) return true;
  const storedBytes = location[LOCATION_ROW.storedBytes]!;
  const place = await lease.take(pagesUp(storedBytes), 0).catch(() => undefined);
  if (place === undefined) return false;
  let file: number | undefined;
  const batch = batches.take();
  try {
    const identity = fileIdentity({ segmentId: segment.id, namespaceId, epoch: segment.epoch });
    file = await io.open(segmentPath(segment.id), { direct: true, identity, deadlineMs });
    const offset = location[LOCATION_ROW.offsetPages]! * PAGE_BYTES;
    const [lo, hi] = [location[LOCATION_ROW.checksumLo]!, location[LOCATION_ROW.checksumHi]!];
    pushIo(batch, IO_OP.read, IO_FLAG.verify, file, offset, 0, place.offset, storedBytes, lo, hi);
    setIoKey(batch, 0, key, 0);
    await io.submit(batch, { lane: 'read', deadlineMs });
    holdTimedOut(batch, lease);
    const result = ioResult(batch, 0);
    return result === -ERRNO.EBADMSG || (result >= 0 && result < storedBytes);
  } catch (error) {
    return isGone(errnoOf(error));
  } finally {
    if (file !== undefined) io.close(file);
    lease.give(place.offset, pagesUp(storedBytes));
    batches.give(batch);
  }
}
