import { LOAD_ROW, LOAD_ROW_WORDS, type LOAD_STATUS } from '../shared-tier.ts';
import type { FileUse } from './open-files.ts';

/** One `load`: its rows in the order of the disk. */
export interface LoadRequest {
  readonly rows: Uint32Array;
  /** Row of each position, by segment and offset. */
  readonly order: Uint32Array;
  /** Open file of each position. */
  readonly files: Int32Array;
  readonly uses: FileUse[];
  readonly deadlineAtMs: number;
  /** Retries made of each position; made only when one is needed. */
  retries: Uint8Array | undefined;
  remaining: number;
  readonly resolve: () => void;
}

/** Positions of a request that wait to be read. */
export interface ReadSpan {
  readonly request: LoadRequest;
  from: number;
  to: number;
}

/** Rows sorted by where they lie, so that neighbours meet. A prompt read back is in order already. */
export function diskOrder(rows: Uint32Array, count: number): Uint32Array {
  const order = new Uint32Array(count);
  let sorted = true;
  for (let i = 0; i < count; i++) {
    order[i] = i;
    if (i > 0 && sorted) sorted = compare(rows, i - 1, i) <= 0;
  }
  return sorted ? order : order.sort((a, b) => compare(rows, a, b));
}

function compare(rows: Uint32Array, a: number, b: number): number {
  const left = a * LOAD_ROW_WORDS;
  const right = b * LOAD_ROW_WORDS;
  return (
    rows[left + LOAD_ROW.segment]! - rows[right + LOAD_ROW.segment]! ||
    rows[left + LOAD_ROW.offsetPages]! - rows[right + LOAD_ROW.offsetPages]!
  );
}

export function segmentAt(request: LoadRequest, position: number): number {
  return request.rows[request.order[position]! * LOAD_ROW_WORDS + LOAD_ROW.segment]!;
}

/** Writes the outcome of one position; true when it was the request's last. */
export function settleLoad(
  request: LoadRequest,
  position: number,
  status: (typeof LOAD_STATUS)[keyof typeof LOAD_STATUS],
): boolean {
  request.rows[request.order[position]! * LOAD_ROW_WORDS + LOAD_ROW.status] = status;
  return --request.remaining === 0;
}
