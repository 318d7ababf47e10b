import { hexOf } from './segment-bytes.ts';

/** Folder of all segments, relative to the root. */
export const SEGMENTS_FOLDER = 'segments';

/** `segments/<first two digits>/<32 digits>.seg`: 256 folders keep each small on file systems that list slowly. */
export function segmentPath(id: Uint8Array): string {
  const hex = hexOf(id);
  return `${SEGMENTS_FOLDER}/${hex.slice(0, 2)}/${hex}.seg`;
}

export function segmentFolder(id: Uint8Array): string {
  return `${SEGMENTS_FOLDER}/${hexOf(id.subarray(0, 1))}`;
}

/** Id of a segment by its file name, or `undefined` for any other file. */
export function segmentIdOf(fileName: string): Uint8Array | undefined {
  const digits = /^([0-9a-f]{32})\.seg$/.exec(fileName)?.[1];
  return digits === undefined
    ? undefined
    : Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
