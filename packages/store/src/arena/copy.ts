import {
  createIoBatch,
  IO_BATCH_OPS_MAX,
  IO_OP,
  IO_WORDS,
  type IoBatch,
  pushIo,
  setIoCopySource,
} from '@refill/interface';
import type { NodeCore } from '../node/node-parts.ts';

/** Result word of a copy whose memory is still in use: minus ETIMEDOUT. */
export const COPY_LATE: number = -110;
const COPY_FAILED = -5;
/**
 * Bytes of a batch, unless one block is longer: two workers share what a request copies, and none is handed so little
 * that the hop to it costs more than it saves (4 MiB take about 300 us).
 */
const BATCH_BYTES = 4 * 1024 * 1024;

/** Copies between arena and regions, to be made together. */
export class Copies {
  readonly #sources: number[] = [];
  readonly #targets: number[] = [];
  readonly #lengths: number[] = [];
  /** Bytes moved or minus errno, in the order of `add`; filled in by `run`. */
  readonly results: number[] = [];

  get count(): number {
    return this.#lengths.length;
  }

  add(
    sourceBuffer: number,
    sourceOffset: number,
    targetBuffer: number,
    targetOffset: number,
    lengthBytes: number,
  ): void {
    this.#sources.push(sourceBuffer, sourceOffset);
    this.#targets.push(targetBuffer, targetOffset);
    this.#lengths.push(lengthBytes);
  }

  isDone(index: number): boolean {
    return this.results[index] === this.#lengths[index];
  }

  /** Settles when each is done or given up; never rejects. */
  async run(core: Pick<NodeCore, 'io' | 'log'>, deadlineMs: number): Promise<void> {
    const batches: Promise<void>[] = [];
    for (let from = 0; from < this.count; ) {
      const to = this.#batchEnd(from);
      batches.push(this.#runBatch(core, from, to, deadlineMs));
      from = to;
    }
    await Promise.all(batches);
  }

  #batchEnd(from: number): number {
    let bytes = this.#lengths[from]!;
    let to = from + 1;
    while (to < this.count && to - from < IO_BATCH_OPS_MAX && bytes + this.#lengths[to]! <= BATCH_BYTES) {
      bytes += this.#lengths[to++]!;
    }
    return to;
  }

  async #runBatch(
    core: Pick<NodeCore, 'io' | 'log'>,
    from: number,
    to: number,
    deadlineMs: number,
  ): Promise<void> {
    const batch: IoBatch = createIoBatch(to - from);
    for (let i = from; i < to; i++) {
      const [target, targetOffset] = [this.#targets[i * 2]!, this.#targets[i * 2 + 1]!];
      const index = pushIo(batch, IO_OP.copy, 0, 0, 0, target, targetOffset, this.#lengths[i]!);
      setIoCopySource(batch, index, this.#sources[i * 2]!, this.#sources[i * 2 + 1]!);
    }
    try {
      await core.io.submit(batch, { lane: 'read', deadlineMs });
      for (let i = from; i < to; i++) this.results[i] = batch.words[(i - from) * IO_WORDS + 9]!;
    } catch (error) {
      core.log.error('copy of %d blocks failed: %s', to - from, error);
      for (let i = from; i < to; i++) this.results[i] = COPY_FAILED;
    }
  }
}

/** Copies of borrowed blocks to the positions of a call. */
export class CopyOut {
  readonly copies: Copies = new Copies();
  readonly ids: number[] = [];
  readonly positions: number[] = [];
}
