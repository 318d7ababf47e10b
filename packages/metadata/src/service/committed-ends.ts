import { COMMIT_ROW, COMMIT_ROW_WORDS, PAGE_BYTES } from '@refill/interface';
import type { LocalDirectory } from '../directory.ts';

/** How far each open segment is committed, for the day when its writer is gone. In memory: see `of`. */
export class CommittedEnds {
  readonly #ends = new Map<number, number>();
  readonly #directory: LocalDirectory;

  constructor(directory: LocalDirectory) {
    this.#directory = directory;
  }

  note(rows: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = i * COMMIT_ROW_WORDS;
      const segment = rows[at + COMMIT_ROW.segment]!;
      const pages = Math.ceil(rows[at + COMMIT_ROW.storedBytes]! / PAGE_BYTES);
      const endBytes = (rows[at + COMMIT_ROW.offsetPages]! + pages) * PAGE_BYTES;
      if (endBytes > (this.#ends.get(segment) ?? 0)) this.#ends.set(segment, endBytes);
    }
  }

  /** The whole segment where nothing was noted but blocks are there: an upper bound, after a restart. */
  of(segment: number): number {
    const record = this.#directory.segment(segment);
    return (
      this.#ends.get(segment) ?? (record === undefined || record.liveBlocks === 0 ? 0 : record.sizeBytes)
    );
  }

  forget(segment: number): void {
    this.#ends.delete(segment);
  }
}
