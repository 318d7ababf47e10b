import { SEGMENT_ID_BYTES } from '@refill/interface';

/**
 * Where a copy's bytes lie on the shared file system: id of the segment (4 words) and offset in pages. In entries of
 * this tier's segments it takes the place of the parent, which nobody needs here: `id 4, offset 1, zero 3`. A segment's
 * id is used once and an offset written once, so that an origin stands for one payload for ever; a block that was
 * deleted and put anew has another.
 */
export const ORIGIN = { segmentId: 0, offsetPages: 4 } as const;

/** Writes an origin to eight words. */
export function encodeOrigin(
  words: Uint32Array,
  at: number,
  segmentId: Uint8Array,
  offsetPages: number,
): void {
  const view = new DataView(segmentId.buffer, segmentId.byteOffset, SEGMENT_ID_BYTES);
  for (let word = 0; word < 4; word++) words[at + word] = view.getUint32(4 * word, true);
  words[at + ORIGIN.offsetPages] = offsetPages;
  words.fill(0, at + ORIGIN.offsetPages + 1, at + 8);
}

/** Id of the segment in an origin. */
export function originSegmentId(words: Uint32Array, at: number): Uint8Array {
  const id = new Uint8Array(SEGMENT_ID_BYTES);
  const view = new DataView(id.buffer);
  for (let word = 0; word < 4; word++) view.setUint32(4 * word, words[at + word]!, true);
  return id;
}
