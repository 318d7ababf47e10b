import {
  type BlockView,
  type BlockViews,
  type Frame,
  type MissReason,
  READ_ROW,
  READ_ROW_WORDS,
  RefillError,
  ROW_STATUS,
} from '@refill/interface';
import type { NodeConnection } from './connection.ts';

const MISS_REASONS: readonly (MissReason | undefined)[] = [
  'miss',
  undefined,
  'late',
  'noRoom',
  'corrupt',
  'tooLong',
  'failed',
];
/** A hit that was given back; no status of the wire. */
const RELEASED = 0xffffffff;

/** Why a status of a `READ_ROW` reads as a miss; `undefined` for a hit. */
export function missReasonOf(status: number): MissReason | undefined {
  if (status === ROW_STATUS.hit || status === RELEASED) return undefined;
  return MISS_REASONS[status] ?? 'failed';
}

/**
 * The answer to a read: rows, and views made when somebody looks. Slots are given back once each; those of a lost
 * connection were given back by the node.
 */
export class ArenaViews implements BlockViews {
  readonly hits: number;
  readonly #connection: NodeConnection;
  readonly #rows: Uint32Array;
  #held: number;
  #views: (ArenaView | undefined)[] | undefined;

  constructor(connection: NodeConnection, rows: Uint32Array) {
    this.#connection = connection;
    this.#rows = rows;
    let hits = 0;
    for (let at = 0; at < rows.length; at += READ_ROW_WORDS) {
      if (rows[at + READ_ROW.status] === ROW_STATUS.hit) hits++;
    }
    this.hits = hits;
    this.#held = hits;
    if (hits === 0) return;
    connection.arena.hold();
    LEAKS.register(this, connection, this);
  }

  get views(): readonly (BlockView | undefined)[] {
    if (this.#views !== undefined) return this.#views;
    const views: (ArenaView | undefined)[] = [];
    for (let at = 0; at < this.#rows.length; at += READ_ROW_WORDS) {
      const isHit = missReasonOf(this.#rows[at + READ_ROW.status]!) === undefined;
      views.push(isHit ? new ArenaView(this, at) : undefined);
    }
    this.#views = views;
    return views;
  }

  missReason(index: number): MissReason | undefined {
    const status = this.#rows[index * READ_ROW_WORDS + READ_ROW.status];
    if (status !== undefined) return missReasonOf(status);
    throw new RangeError(`index must be below ${this.#rows.length / READ_ROW_WORDS}, got ${index}`);
  }

  release(): void {
    if (this.#held === 0) return;
    for (let at = 0; at < this.#rows.length; at += READ_ROW_WORDS) this.releaseRow(at);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** Bytes of the row at word `at`. Throws once they may belong to another block. */
  bytesOf(at: number): Uint8Array {
    const rows = this.#rows;
    const { lost, arena } = this.#connection;
    if (lost !== undefined) throw lost;
    if (rows[at + READ_ROW.status] === RELEASED) {
      throw new RefillError('ERR_HANDLE_UNKNOWN', 'this view was released; its slot may hold another block');
    }
    return arena.read(
      rows[at + READ_ROW.pane]!,
      rows[at + READ_ROW.offsetBytes]!,
      rows[at + READ_ROW.lengthBytes]!,
    );
  }

  tokensOf(at: number): number {
    return this.#rows[at + READ_ROW.tokens]!;
  }

  releaseRow(at: number): void {
    const rows = this.#rows;
    if (rows[at + READ_ROW.status] !== ROW_STATUS.hit) return;
    rows[at + READ_ROW.status] = RELEASED;
    this.#connection.release(rows[at + READ_ROW.slot]!);
    this.#held--;
    if (this.#held > 0) return;
    LEAKS.unregister(this);
    this.#connection.arena.drop();
  }
}

class ArenaView implements BlockView {
  readonly #views: ArenaViews;
  readonly #at: number;

  constructor(views: ArenaViews, at: number) {
    this.#views = views;
    this.#at = at;
  }

  get bytes(): Uint8Array {
    return this.#views.bytesOf(this.#at);
  }

  get tokens(): number {
    return this.#views.tokensOf(this.#at);
  }

  release(): void {
    this.#views.releaseRow(this.#at);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** Gives back what a reply pinned when nobody waits for it any more. */
export function releaseHits(connection: NodeConnection, frame: Frame): void {
  const end = frame.bodyAt + frame.count * READ_ROW_WORDS;
  for (let at = frame.bodyAt; at < end; at += READ_ROW_WORDS) {
    if (frame.words[at + READ_ROW.status] === ROW_STATUS.hit) {
      connection.release(frame.words[at + READ_ROW.slot]!);
    }
  }
}

/**
 * Views that were collected without a release keep their slots: bytes taken from them may still be in use, and a slot
 * that is never evicted is better than bytes that change under a reader. The connection's end returns them.
 */
const LEAKS = new FinalizationRegistry<NodeConnection>((connection) => connection.leaked());
