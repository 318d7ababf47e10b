import { BLOCK_FLAG, invariant, type PUT_STATUS, type RefillError } from '@refill/interface';
import { STORE_ROW, STORE_ROW_WORDS } from '../shared-tier.ts';
import { pagesUp } from './segment-bytes.ts';

/** One `store` or `remove`: rows in the caller's memory, and how many are not settled. */
export interface StoreRequest {
  readonly rows: Uint32Array;
  /** `BLOCK_FLAG.tombstone` for a removal, else 0. */
  readonly flags: number;
  remaining: number;
  readonly resolve: () => void;
  /** Why some of it failed, where that is more than the file system's doing. */
  failure?: RefillError;
}

/** Rows of one request that wait, in the order in which they were given. */
interface Chunk {
  readonly request: StoreRequest;
  readonly rowIndexes: Uint32Array;
  next: number;
  /** Times these blocks were written and failed. */
  readonly attempts: number;
  /** Somebody waits for it. */
  readonly urgent: boolean;
}

/** Blocks chosen for one batch. Rows stay in their requests. */
export interface Pick {
  readonly flags: number;
  readonly attempts: number;
  readonly requests: StoreRequest[];
  readonly rowIndexes: number[];
  urgent: boolean;
}

/** Blocks of one namespace that wait to be written, first in, first out: a removal stays behind the put before it. */
export class PutQueue {
  readonly #chunks: Chunk[] = [];
  #urgentChunks = 0;
  /** Payload bytes that wait, in whole pages. */
  bytes = 0;
  blocks = 0;

  get empty(): boolean {
    return this.#chunks.length === 0;
  }

  get urgent(): boolean {
    return this.#urgentChunks > 0;
  }

  add(request: StoreRequest, rowIndexes: Uint32Array, urgent: boolean): void {
    this.#insert({ request, rowIndexes, next: 0, attempts: 0, urgent }, false);
  }

  /** Puts blocks of a failed batch back in front, for one more attempt, or one that does not count. */
  putBack(pick: Pick, attempts: number = pick.attempts + 1): void {
    let end = pick.rowIndexes.length;
    while (end > 0) {
      const request = pick.requests[end - 1]!;
      let from = end;
      while (from > 0 && pick.requests[from - 1] === request) from--;
      const rowIndexes = Uint32Array.from(pick.rowIndexes.slice(from, end));
      this.#insert({ request, rowIndexes, next: 0, attempts, urgent: true }, true);
      end = from;
    }
  }

  /** Payload bytes of the first block. */
  get firstBytes(): number {
    const chunk = this.#chunks[0]!;
    return pagesUp(lengthAt(chunk.request, chunk.rowIndexes[chunk.next]!));
  }

  /** Takes blocks of one kind and attempt from the front: at most `blocksMax`, and `bytesMax` with each in whole pages. */
  take(blocksMax: number, bytesMax: number): Pick | undefined {
    const first = this.#chunks[0];
    if (first === undefined) return undefined;
    const pick: Pick = {
      flags: first.request.flags,
      attempts: first.attempts,
      requests: [],
      rowIndexes: [],
      urgent: false,
    };
    let bytes = 0;
    let full = false;
    while (!full) {
      const chunk = this.#chunks[0];
      if (chunk === undefined || chunk.request.flags !== pick.flags || chunk.attempts !== pick.attempts)
        break;
      while (chunk.next < chunk.rowIndexes.length) {
        const rowIndex = chunk.rowIndexes[chunk.next]!;
        const length = pagesUp(lengthAt(chunk.request, rowIndex));
        full = pick.rowIndexes.length === blocksMax || bytes + length > bytesMax;
        if (full) break;
        chunk.next++;
        bytes += length;
        pick.requests.push(chunk.request);
        pick.rowIndexes.push(rowIndex);
        pick.urgent ||= chunk.urgent;
      }
      if (full) break;
      this.#chunks.shift();
      if (chunk.urgent) this.#urgentChunks--;
    }
    this.bytes -= bytes;
    this.blocks -= pick.rowIndexes.length;
    return pick.rowIndexes.length === 0 ? undefined : pick;
  }

  #insert(chunk: Chunk, front: boolean): void {
    invariant(chunk.rowIndexes.length > 0, 'a chunk has blocks');
    if (front) this.#chunks.unshift(chunk);
    else this.#chunks.push(chunk);
    if (chunk.urgent) this.#urgentChunks++;
    for (const rowIndex of chunk.rowIndexes) this.bytes += pagesUp(lengthAt(chunk.request, rowIndex));
    this.blocks += chunk.rowIndexes.length;
  }
}

/** Payload length of a row; a tombstone has none. */
export function lengthAt(request: StoreRequest, rowIndex: number): number {
  return (request.flags & BLOCK_FLAG.tombstone) !== 0
    ? 0
    : request.rows[rowIndex * STORE_ROW_WORDS + STORE_ROW.lengthBytes]!;
}

/** Writes the outcome of one row and settles its request when it was the last. */
export function settleStore(
  request: StoreRequest,
  rowIndex: number,
  status: (typeof PUT_STATUS)[keyof typeof PUT_STATUS],
): void {
  request.rows[rowIndex * STORE_ROW_WORDS + STORE_ROW.status] = status;
  if (--request.remaining === 0) request.resolve();
}
