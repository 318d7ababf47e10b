import { COMMIT_ROW_WORDS, type Directory } from '@refill/interface';
import { fillCommitRow } from '../fill-rows.ts';

const ROWS_MAX = 4096;

/** Collects blocks found in segments and commits them in large calls, in the order in which they were added. */
export class CommitBuffer {
  readonly #directory: Directory;
  readonly #rows = new Uint32Array(ROWS_MAX * COMMIT_ROW_WORDS);
  readonly #accepted = new Uint8Array(ROWS_MAX);
  #node = '';
  #epoch = 0;
  #count = 0;
  /** Blocks that the directory did not have. */
  accepted = 0;

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  /** Commits from here on are made as this node under its current epoch. Flush before changing it. */
  as(node: string, epoch: number): void {
    this.#node = node;
    this.#epoch = epoch;
  }

  /** Adds block `block` of batch entries; a promise only when the buffer was full. */
  add(entries: Uint32Array, block: number, namespace: number, segment: number): void | Promise<void> {
    fillCommitRow(this.#rows, this.#count++, entries, block, namespace, segment);
    if (this.#count === ROWS_MAX) return this.flush();
  }

  async flush(): Promise<void> {
    const count = this.#count;
    if (count === 0) return;
    await this.#directory.commit(this.#node, this.#epoch, this.#rows, count, this.#accepted);
    for (let i = 0; i < count; i++) this.accepted += this.#accepted[i]!;
    this.#count = 0;
  }
}
