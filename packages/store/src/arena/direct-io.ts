import { PAGE_BYTES, REGION_ROW, REGION_ROW_WORDS } from '@refill/interface';
import { placeOffset } from '../node/arguments.ts';

/**
 * Whether a block's I/O may go straight to its place in a region: O_DIRECT moves whole pages, so the place must start
 * at a page and have room up to the end of the last one. What does not qualify takes the way through the arena.
 */
export function isDirectPlace(places: Uint32Array, index: number, lengthBytes: number): boolean {
  const room = places[index * REGION_ROW_WORDS + REGION_ROW.lengthBytes]!;
  return (
    placeOffset(places, index) % PAGE_BYTES === 0 && room >= Math.ceil(lengthBytes / PAGE_BYTES) * PAGE_BYTES
  );
}
