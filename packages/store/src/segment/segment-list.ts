import type { BlockIO } from '@refill/interface';
import { SEGMENTS_FOLDER, segmentIdOf } from './segment-path.ts';

/** Folders listed at the same time: a listing of a shared file system takes a millisecond or more. */
const LISTINGS_MAX = 16;

/** Ids of all segment files of a root. Files of other names are passed over. */
export async function listSegments(io: BlockIO, deadlineMs: number): Promise<Uint8Array[]> {
  const folders = (await io.list(SEGMENTS_FOLDER, { deadlineMs })).filter((name) =>
    /^[0-9a-f]{2}$/.test(name),
  );
  const ids: Uint8Array[] = [];
  let next = 0;
  const lister = async (): Promise<void> => {
    while (next < folders.length) {
      const folder = folders[next++]!;
      for (const name of await io.list(`${SEGMENTS_FOLDER}/${folder}`, { deadlineMs })) {
        const id = segmentIdOf(name);
        if (id !== undefined && name.startsWith(folder)) ids.push(id);
      }
    }
  };
  await Promise.all(Array.from({ length: LISTINGS_MAX }, lister));
  return ids;
}
