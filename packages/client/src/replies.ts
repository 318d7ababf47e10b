import {
  type BlockViews,
  type IntoOutcome,
  jsonOf,
  READ_ROW,
  READ_ROW_WORDS,
  ROW_STATUS,
} from '@refill/interface';
import type { ReplyReader } from './call.ts';
import type { NodeConnection } from './connection.ts';
import { ArenaViews, missReasonOf, releaseHits } from './views.ts';

/** How replies to lists of keys are read: what a hit, a late answer and an unwanted one come to. */

const COUNT_READER: ReplyReader<number> = { read: (frame) => frame.count };

/** A reply whose result is in its header. */
export function countReader(): ReplyReader<number> {
  return COUNT_READER;
}

/** A reply that is JSON of its header's count of bytes, of a node that is trusted to write what the contract says. */
export function jsonReader<T>(): ReplyReader<T> {
  return { read: (frame) => jsonOf(frame, 0, frame.count) as T };
}

export function presenceReader(_connection: NodeConnection, count: number): ReplyReader<boolean[]> {
  return { read: (frame) => Array.from(frame.bytes(0, count), (present) => present !== 0) };
}

/** Views that pin what they show; pins that nobody waits for any more are given back. */
export function viewsReader(connection: NodeConnection, count: number): ReplyReader<BlockViews> {
  return {
    read: (frame) => new ArenaViews(connection, connection.rows.keep(frame.body(0, count * READ_ROW_WORDS))),
    discard: (frame) => releaseHits(connection, frame),
    late: () => new ArenaViews(connection, lateRows(count)),
  };
}

export function intoReader(count: number): ReplyReader<IntoOutcome[]> {
  return {
    read: (frame) => intoOutcomes(frame.body(0, count * READ_ROW_WORDS)),
    late: () => new Array<IntoOutcome>(count).fill('late'),
  };
}

function lateRows(count: number): Uint32Array {
  const rows = new Uint32Array(count * READ_ROW_WORDS);
  for (let at = READ_ROW.status; at < rows.length; at += READ_ROW_WORDS) rows[at] = ROW_STATUS.late;
  return rows;
}

function intoOutcomes(rows: Uint32Array): IntoOutcome[] {
  const outcomes: IntoOutcome[] = [];
  for (let at = 0; at < rows.length; at += READ_ROW_WORDS) {
    const reason = missReasonOf(rows[at + READ_ROW.status]!);
    outcomes.push(
      reason ?? { lengthBytes: rows[at + READ_ROW.lengthBytes]!, tokens: rows[at + READ_ROW.tokens]! },
    );
  }
  return outcomes;
}
