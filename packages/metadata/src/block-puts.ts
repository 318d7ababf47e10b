import { COMMIT_ROW, type EngineOp, invariant } from '@refill/interface';
import { BlockRecordSlot } from './record.ts';

/** Records a call of the engine: what they take stays reserved, about 1 MiB. */
const PUTS_MAX = 2048;

/**
 * Operations that put blocks, made once and filled again and again: views are what costs most of a commit, in time
 * and in garbage. The engine has copied the records of a call when it returns, so that they can be filled again then.
 */
export class BlockPuts {
  readonly #slots: BlockRecordSlot[] = [];
  readonly #ops: EngineOp[] = [];
  #count = 0;

  get full(): boolean {
    return this.#count === PUTS_MAX;
  }

  /** Encodes the block of a commit row. */
  add(rows: Uint32Array, at: number): void {
    invariant(!this.full, 'a full list of operations is taken before the next is added');
    const i = this.#count++;
    if (i === this.#slots.length) {
      this.#slots.push(new BlockRecordSlot());
      this.#ops.push({ key: this.#slots[i]!.key, value: undefined });
    }
    this.#ops[i]!.value = this.#slots[i]!.fill(rows[at + COMMIT_ROW.namespace]!, rows, at);
  }

  /** The operations added since the last `take`, valid until the next `add`. */
  take(): readonly EngineOp[] {
    const taken = this.#ops.slice(0, this.#count);
    this.#count = 0;
    return taken;
  }
}
