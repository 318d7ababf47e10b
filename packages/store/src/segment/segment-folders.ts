import { type BlockIO, RefillError } from '@refill/interface';
import { ERRNO } from './errno.ts';
import { SEGMENTS_FOLDER, segmentFolder } from './segment-path.ts';

/** Makes the folders of segments, each once in the life of the node. */
export class SegmentFolders {
  readonly #io: BlockIO;
  readonly #made = new Set<string>();

  constructor(io: BlockIO) {
    this.#io = io;
  }

  async ensure(id: Uint8Array, deadlineMs: number): Promise<void> {
    for (const folder of [SEGMENTS_FOLDER, segmentFolder(id)]) {
      if (this.#made.has(folder)) continue;
      try {
        await this.#io.mkdir(folder, { deadlineMs });
      } catch (error) {
        if (!(error instanceof RefillError) || error.errno !== ERRNO.EEXIST) throw error;
      }
      this.#made.add(folder);
    }
  }
}
