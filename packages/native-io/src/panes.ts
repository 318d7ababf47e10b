import { native } from './native.ts';

/** Views on mapped memory, in panes of at most 1 GiB. `free` detaches them: views that are still held become empty. */
export class Panes {
  readonly buffer: number;
  readonly views: readonly Uint8Array[];

  constructor(buffer: number) {
    this.buffer = buffer;
    this.views = native.panes(buffer).map((pane) => new Uint8Array(pane));
  }

  free(): void {
    native.detachRegion(this.buffer);
    for (const view of this.views) if (view.buffer.byteLength > 0) native.detachArrayBuffer(view.buffer);
  }
}
