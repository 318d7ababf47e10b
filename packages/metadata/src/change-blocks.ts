import { COMMIT_ROW, KEY_WORDS } from '@refill/interface';
import { INDEX_ROW } from './block-index.ts';
import {
  type BlockState,
  commitBeyondMemory,
  commitInMemory,
  removeBeyondMemory,
  removeInMemory,
} from './block-writer.ts';
import { assertCommit } from './commit-check.ts';
import { hasRoom } from './load-index.ts';
import { Turns } from './turns.ts';

/**
 * Commits and removals of blocks. While no block is beyond memory, memory decides before the call returns; else the
 * engine does, one call at a time.
 */
export class ChangeBlocks {
  readonly turns: Turns = new Turns();
  readonly #state: BlockState;
  readonly #assertOpen: () => void;
  readonly #nowSeconds: () => number;

  constructor(state: BlockState, parts: { assertOpen: () => void; nowSeconds: () => number }) {
    this.#state = state;
    this.#assertOpen = parts.assertOpen;
    this.#nowSeconds = parts.nowSeconds;
  }

  async commit(
    node: string,
    epoch: number,
    rows: Uint32Array,
    count: number,
    accepted: Uint8Array,
    durable: boolean,
  ): Promise<void> {
    const check = (): void => {
      this.#assertOpen();
      assertCommit(this.#state.catalogue, node, epoch, rows, count);
    };
    check();
    if (this.#memoryIsWhole && hasRoom(this.#state.index, count, this.#state.memoryBudgetBytes)) {
      return commitInMemory(this.#state, rows, count, accepted, this.#nowSeconds(), durable);
    }
    return this.turns.run(() => {
      check();
      return commitBeyondMemory(this.#state, rows, count, accepted, this.#nowSeconds(), durable);
    });
  }

  async remove(namespace: number, keys: Uint32Array, count: number, durable: boolean): Promise<number> {
    this.#assertOpen();
    const removed = await this.#remove(namespace, keys, count, durable);
    // After the fact, so that nobody learns of the removal first and of the location afterwards.
    const { changes } = this.#state.catalogue;
    for (let i = 0; i < count; i++) changes.noteRemoved(namespace, keys, i * KEY_WORDS);
    return removed;
  }

  async #remove(namespace: number, keys: Uint32Array, count: number, durable: boolean): Promise<number> {
    if (this.#memoryIsWhole) {
      const { removed, written } = removeInMemory(this.#state, namespace, keys, count, durable);
      await written;
      return removed;
    }
    return this.turns.run(async () => {
      const { unknown, removed, written } = removeInMemory(this.#state, namespace, keys, count, durable);
      await written;
      const wanted = (): boolean => true;
      return removed + (await removeBeyondMemory(this.#state, namespace, keys, unknown, wanted, durable));
    });
  }

  async removeAt(
    namespace: number,
    key: Uint32Array,
    segment: number,
    offsetPages: number,
  ): Promise<boolean> {
    this.#assertOpen();
    if (this.#memoryIsWhole) return this.#removeAtInMemory(namespace, key, segment, offsetPages);
    const wanted = (row: Uint32Array): boolean =>
      row[COMMIT_ROW.segment] === segment && row[COMMIT_ROW.offsetPages] === offsetPages;
    return this.turns.run(
      async () =>
        (await this.#removeAtInMemory(namespace, key, segment, offsetPages)) ||
        (await removeBeyondMemory(this.#state, namespace, key, [0], wanted)) === 1,
    );
  }

  /** Whether memory alone decides: no block is beyond it, and no call that may change that is under way. */
  get #memoryIsWhole(): boolean {
    return this.#state.beyond.blocks === 0 && this.turns.idle;
  }

  async #removeAtInMemory(
    namespace: number,
    key: Uint32Array,
    segment: number,
    page: number,
  ): Promise<boolean> {
    const { index } = this.#state;
    const entry = index.find(namespace, key, 0);
    if (entry < 0 || index.word(entry, INDEX_ROW.segment) !== segment) return false;
    if (index.word(entry, INDEX_ROW.offsetPages) !== page) return false;
    await removeInMemory(this.#state, namespace, key, 1).written;
    return true;
  }
}
