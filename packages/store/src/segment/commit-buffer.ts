import { COMMIT_ROW_WORDS, type Directory } from '@refill/interface';
import { commitRow } from './commit-row.ts';

const ROWS_MAX = 4096;

/** Collects blocks found in segments and commits them in large calls, in the order in which they were added. */
export class CommitBuffer {
  readonly #directory: Directory;
  readonly #rows = new Uint32Array(ROWS_MAX * COMMIT_ROW_WORDS);
  readonly #accepted = new Uint8Array(ROWS_MAX);
  #node = '';
  #epoch = 0;
  #count = 0;
  readonly #yields: (rows: Uint32Array, row: number) => Promise<boolean>;
  /** Blocks whose place the directory has now, or had already. */
  accepted = 0;

  /** `yields`: whether what the directory has under the key of a row gives up its place to the row. */
  constructor(directory: Directory, yields: (rows: Uint32Array, row: number) => Promise<boolean>) {
    this.#directory = directory;
    this.#yields = yields;
  }

  /** Commits from here on are made as this node under its current epoch. Flush before changing it. */
  as(node: string, epoch: number): void {
    this.#node = node;
    this.#epoch = epoch;
  }

  /** Adds block `block` of batch entries; a promise only when the buffer was full. */
  add(entries: Uint32Array, block: number, namespace: number, segment: number): void | Promise<void> {
    commitRow(this.#rows, this.#count++, entries, block, namespace, segment);
    if (this.#count === ROWS_MAX) return this.flush();
  }

  async flush(): Promise<void> {
    const count = this.#count;
    if (count === 0) return;
    // Rows that fail are not tried again here: their segment is, at the next start.
    this.#count = 0;
    await this.#directory.commit(this.#node, this.#epoch, this.#rows, count, this.#accepted);
    for (let i = 0; i < count; i++) {
      if (this.#accepted[i] === 0 && (await this.#yields(this.#rows, i))) await this.#commitOne(i);
      this.accepted += this.#accepted[i]!;
    }
  }

  async #commitOne(row: number): Promise<void> {
    const from = row * COMMIT_ROW_WORDS;
    const rows = this.#rows.subarray(from, from + COMMIT_ROW_WORDS);
    await this.#directory.commit(this.#node, this.#epoch, rows, 1, this.#accepted.subarray(row, row + 1));
  }
}
