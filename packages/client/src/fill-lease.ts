import {
  FILL_LIFE_MS_MAX,
  FILL_ROW,
  FILL_ROW_WORDS,
  FILL_STATUS,
  type FillLease,
  FRAME,
} from '@refill/interface';
import type { ReplyReader } from './call.ts';
import type { NodeConnection } from './connection.ts';

const NO_WORDS = new Uint32Array(0);

/** What one `acquireFill` was told; the node ends it with the connection. */
class ClientFillLease implements FillLease {
  readonly granted: number[] = [];
  readonly held: { index: number; remainingMs: number }[] = [];
  readonly present: number[] = [];
  readonly #connection: NodeConnection;
  #id: number;

  constructor(connection: NodeConnection, id: number, rows: Uint32Array) {
    this.#connection = connection;
    this.#id = id;
    for (let index = 0; index < rows.length / FILL_ROW_WORDS; index++) {
      const at = index * FILL_ROW_WORDS;
      const status = rows[at + FILL_ROW.status]!;
      if (status === FILL_STATUS.granted) this.granted.push(index);
      else if (status === FILL_STATUS.present) this.present.push(index);
      else this.held.push({ index, remainingMs: rows[at + FILL_ROW.remainingMs]! });
    }
  }

  release(): void {
    if (this.#id !== 0) giveBack(this.#connection, this.#id);
    this.#id = 0;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** A lease that nobody waits for any more is given back. */
export function fillReader(connection: NodeConnection, count: number): ReplyReader<FillLease> {
  return {
    read: (frame) =>
      new ClientFillLease(connection, frame.argument, frame.body(0, count * FILL_ROW_WORDS).slice()),
    discard: (frame) => giveBack(connection, frame.argument),
  };
}

function giveBack(connection: NodeConnection, id: number): void {
  connection.tell(FRAME.releaseFill, NO_WORDS, 0, id);
}

/** The life of a lease as it travels: 0 for the default. Throws `RangeError`. */
export function lifeMsOf(options: { lifeMs?: number } | undefined): number {
  const lifeMs = options?.lifeMs;
  if (lifeMs === undefined) return 0;
  if (typeof lifeMs === 'number' && lifeMs > 0 && lifeMs <= FILL_LIFE_MS_MAX) return Math.ceil(lifeMs);
  throw new RangeError(
    `lifeMs must be a number above 0 and at most ${FILL_LIFE_MS_MAX}, got ${String(lifeMs)}`,
  );
}
