import { FRAME_HEADER_WORDS, type Frame, fillBytes, REPLY_BIT, utf8Of } from '@refill/interface';
import type { ServerConnection } from './connection.ts';

/** What a later reply needs of its request's header: the frame itself is gone by then. */
export interface Header {
  type: number;
  request: number;
}

export function headerOf(frame: Frame): Header {
  return { type: frame.type, request: frame.request };
}

/** Lets `work` fill the rows of the reply where they will be sent from. */
export function answerRows(
  connection: ServerConnection,
  frame: Frame,
  rowWords: number,
  work: (rows: Uint32Array) => void | Promise<void>,
  undo?: (rows: Uint32Array) => void,
): void {
  const { writer } = connection.outbox;
  const { request, count } = frame;
  const type = frame.type | REPLY_BIT;
  const at = writer.begin(count * rowWords * 4);
  const { words } = writer;
  const body = at + FRAME_HEADER_WORDS;
  const rows = words.subarray(body, body + count * rowWords);
  const result = work(rows);
  if (result === undefined) writer.end(words, at, type, 0, request, 0, 0, count, 0);
  else {
    connection.later(
      frame,
      result,
      () => writer.end(words, at, type, 0, request, 0, 0, count, 0),
      undo && (() => undo(rows)),
    );
  }
}

export function answerCount(
  connection: ServerConnection,
  frame: Frame,
  result: number | Promise<number>,
  undo?: () => void,
): void {
  const header = headerOf(frame);
  if (typeof result === 'number') answerEmpty(connection, header, result, 0);
  else connection.later(frame, result, (count) => answerEmpty(connection, header, count, 0), undo);
}

/** A value as JSON, its length in the header's count. */
export function answerJson(
  connection: ServerConnection,
  frame: Frame,
  result: object | Promise<object>,
): void {
  const header = headerOf(frame);
  if (result instanceof Promise)
    connection.later(frame, result, (value) => writeJson(connection, header, value));
  else writeJson(connection, header, result);
}

function writeJson(connection: ServerConnection, { type, request }: Header, value: object): void {
  const text = utf8Of(value);
  const { writer } = connection.outbox;
  const at = writer.begin(text.length);
  fillBytes(writer.words, at, text);
  writer.end(writer.words, at, type | REPLY_BIT, 0, request, 0, 0, text.length, 0);
}

export function answerEmpty(
  connection: ServerConnection,
  header: Header,
  count: number,
  argument: number,
): void {
  const { writer } = connection.outbox;
  const at = writer.begin(0);
  writer.end(writer.words, at, header.type | REPLY_BIT, 0, header.request, 0, 0, count, argument);
}

/** Slots of the rows that have this status, packed. */
export function slotsOf(
  rows: Uint32Array,
  rowWords: number,
  row: { status: number; slot: number },
  status: number,
): [slots: Uint32Array, count: number] {
  const slots = new Uint32Array(rows.length / rowWords);
  let count = 0;
  for (let at = 0; at < rows.length; at += rowWords) {
    if (rows[at + row.status] === status) slots[count++] = rows[at + row.slot]!;
  }
  return [slots, count];
}
