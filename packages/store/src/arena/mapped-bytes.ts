import { type BlockIO, type BufferId, PANE_BYTES } from '@refill/interface';

/** View on a range of mapped memory: the arena or a region. A range lies within one pane. */
export function mappedBytes(io: BlockIO, buffer: BufferId, offset: number, length: number): Uint8Array {
  const panes = buffer === 0 ? io.panes : io.regionPanes(buffer);
  const pane = panes[Math.floor(offset / PANE_BYTES)];
  const at = offset % PANE_BYTES;
  if (pane === undefined || at + length > pane.length) {
    throw new RangeError(`buffer ${buffer} has no ${length} bytes at ${offset}`);
  }
  return pane.subarray(at, at + length);
}
