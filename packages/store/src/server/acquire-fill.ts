import {
  FILL_ROW_WORDS,
  FRAME,
  FRAME_HEADER_WORDS,
  type Frame,
  KEY_BYTES,
  REPLY_BIT,
} from '@refill/interface';
import { checkNamespace, checkRows, deadlineOf } from './arguments.ts';
import type { ServerConnection } from './connection.ts';

/** Fill rows where they will be sent from, and the lease in the header; nobody's any more, it is given back. */
export function acquireFill(connection: ServerConnection, frame: Frame): void {
  checkNamespace(connection, frame);
  checkRows(frame, KEY_BYTES);
  const { session } = connection;
  const { writer } = connection.outbox;
  const { request, count } = frame;
  const deadlineMs = deadlineOf(frame);
  const at = writer.begin(count * FILL_ROW_WORDS * 4);
  const { words } = writer;
  const body = at + FRAME_HEADER_WORDS;
  const rows = words.subarray(body, body + count * FILL_ROW_WORDS);
  connection.later(
    frame,
    session.acquireFill(frame.namespace, frame.body(), count, frame.argument, deadlineMs, rows),
    (fill) => writer.end(words, at, FRAME.acquireFill | REPLY_BIT, 0, request, 0, 0, count, fill),
    (fill) => session.releaseFill(fill),
  );
}
