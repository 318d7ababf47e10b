import {
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_WORDS,
  type Frame,
  fillBytes,
  jsonOf,
  KEY_BYTES,
  LOCATE_NODES_DEFAULT,
  LOOKUP_ROW_WORDS,
  PUT_ROW_WORDS,
  READ_ROW,
  READ_ROW_WORDS,
  REGION_ROW_WORDS,
  REPLY_BIT,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  ROW_STATUS,
  utf8Of,
} from '@refill/interface';
import { acquireFill } from './acquire-fill.ts';
import { answerCount, answerEmpty, answerJson, answerRows, headerOf, slotsOf } from './answers.ts';
import { checkBody, checkNamespace, checkRows, deadlineOf } from './arguments.ts';
import type { ServerConnection } from './connection.ts';
import { drainRequest } from './drain-request.ts';
import { hintedRows, unpinStored } from './hinted.ts';
import { namespaceRequest } from './namespace-request.ts';
import { registerRegion } from './region-requests.ts';

/** Answers one frame: at once, or by `connection.later`. */
type Handler = (connection: ServerConnection, frame: Frame) => void;

const KEY_WORDS = KEY_BYTES / 4;

/** The one table of what a client may ask, by frame type. */
export const HANDLERS: readonly (Handler | undefined)[] = tableOf({
  [FRAME.namespace]: openNamespace,
  [FRAME.reserve]: (connection, frame) => {
    checkNamespace(connection, frame);
    checkRows(frame, PUT_ROW_WORDS * 4);
    const { session } = connection;
    answerRows(
      connection,
      frame,
      RESERVE_ROW_WORDS,
      (rows) => session.reserve(frame.namespace, frame.body(), frame.count, rows),
      (rows) => session.abort(...slotsOf(rows, RESERVE_ROW_WORDS, RESERVE_ROW, RESERVE_STATUS.reserved)),
    );
  },
  [FRAME.commit]: (connection, frame) => {
    const { hints, rowsAt } = hintedRows(frame, 1);
    const deadlineMs = deadlineOf(frame);
    const { session } = connection;
    const { count } = frame;
    const slots = frame.body(rowsAt, count);
    answerRows(
      connection,
      frame,
      1,
      (statuses) => session.commit(slots, count, durabilityOf(frame), deadlineMs, statuses, hints),
      hints?.pin === true ? () => session.unpinSlots(slots, count) : undefined,
    );
  },
  [FRAME.awaitStored]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    const deadlineMs = deadlineOf(frame);
    const { session } = connection;
    answerRows(connection, frame, 1, (statuses) =>
      session.awaitStored(frame.namespace, keys, frame.count, deadlineMs, statuses),
    );
  },
  [FRAME.abort]: (connection, frame) => {
    checkRows(frame, 4);
    connection.session.abort(frame.body(0, frame.count), frame.count);
  },
  [FRAME.putFrom]: (connection, frame) => {
    checkNamespace(connection, frame);
    const { hints, rowsAt } = hintedRows(frame, PUT_ROW_WORDS + REGION_ROW_WORDS);
    const deadlineMs = deadlineOf(frame);
    const puts = frame.count * PUT_ROW_WORDS;
    const { session } = connection;
    const { namespace } = frame;
    const rows = frame.body(rowsAt, puts);
    answerRows(
      connection,
      frame,
      1,
      (statuses) =>
        session.putFrom(
          namespace,
          frame.argument,
          rows,
          frame.body(rowsAt + puts, frame.count * REGION_ROW_WORDS),
          frame.count,
          durabilityOf(frame),
          deadlineMs,
          statuses,
          hints,
        ),
      hints?.pin === true ? (statuses) => unpinStored(session, namespace, rows, statuses) : undefined,
    );
  },
  [FRAME.get]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    const deadlineMs = deadlineOf(frame);
    const { session } = connection;
    answerRows(
      connection,
      frame,
      READ_ROW_WORDS,
      (rows) => session.get(frame.namespace, keys, frame.count, deadlineMs, rows),
      (rows) => session.release(...slotsOf(rows, READ_ROW_WORDS, READ_ROW, ROW_STATUS.hit)),
    );
  },
  [FRAME.getInto]: (connection, frame) => {
    checkNamespace(connection, frame);
    checkRows(frame, (KEY_WORDS + REGION_ROW_WORDS) * 4);
    const deadlineMs = deadlineOf(frame);
    const keys = frame.count * KEY_WORDS;
    answerRows(connection, frame, READ_ROW_WORDS, (rows) =>
      connection.session.getInto(
        frame.namespace,
        frame.argument,
        frame.body(0, keys),
        frame.body(keys, frame.count * REGION_ROW_WORDS),
        frame.count,
        deadlineMs,
        rows,
      ),
    );
  },
  [FRAME.release]: (connection, frame) => {
    checkRows(frame, 4);
    connection.session.release(frame.body(0, frame.count), frame.count);
  },
  [FRAME.match]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    answerCount(connection, frame, connection.session.matchPrefix(frame.namespace, keys, frame.count));
  },
  [FRAME.exists]: exists,
  [FRAME.prefetch]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    answerCount(connection, frame, connection.session.prefetch(frame.namespace, keys, frame.count));
  },
  [FRAME.pin]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    const deadlineMs = deadlineOf(frame);
    answerCount(
      connection,
      frame,
      connection.session.pin(frame.namespace, keys, frame.count, deadlineMs),
      () => connection.session.unpin(frame.namespace, keys, frame.count),
    );
  },
  [FRAME.unpin]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    answerCount(connection, frame, connection.session.unpin(frame.namespace, keys, frame.count));
  },
  [FRAME.touch]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    connection.session.touch(frame.namespace, keys, frame.count);
    answerCount(connection, frame, 0);
  },
  [FRAME.delete]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    const deadlineMs = deadlineOf(frame);
    answerCount(connection, frame, connection.session.delete(frame.namespace, keys, frame.count, deadlineMs));
  },
  [FRAME.flush]: (connection, frame) => {
    checkBody(frame, 0);
    answerCount(connection, frame, connection.session.flush(deadlineOf(frame)));
  },
  [FRAME.status]: (connection, frame) => {
    checkBody(frame, 0);
    answerJson(connection, frame, connection.parts.node.status());
  },
  [FRAME.lookup]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    const { session } = connection;
    answerRows(connection, frame, LOOKUP_ROW_WORDS, (rows) =>
      session.lookup(frame.namespace, keys, frame.count, rows),
    );
  },
  [FRAME.locate]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    const limit = frame.argument === 0 ? LOCATE_NODES_DEFAULT : frame.argument;
    const deadlineMs = deadlineOf(frame);
    answerJson(
      connection,
      frame,
      connection.session.locate(frame.namespace, keys, frame.count, limit, deadlineMs),
    );
  },
  [FRAME.explain]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    answerJson(connection, frame, connection.session.explain(frame.namespace, keys, frame.count));
  },
  [FRAME.acquireFill]: acquireFill,
  [FRAME.awaitFill]: (connection, frame) => {
    const keys = keysOf(connection, frame);
    const deadlineMs = deadlineOf(frame);
    answerCount(
      connection,
      frame,
      connection.session.awaitFill(frame.namespace, keys, frame.count, deadlineMs),
    );
  },
  [FRAME.releaseFill]: (connection, frame) => {
    checkBody(frame, 0);
    connection.session.releaseFill(frame.argument);
  },
  [FRAME.drain]: drainRequest,
  [FRAME.registerRegion]: registerRegion,
  [FRAME.unregisterRegion]: (connection, frame) => {
    checkBody(frame, 0);
    const header = headerOf(frame);
    // Counted off also when the request is cancelled meanwhile: it is gone all the same.
    const work = connection.session.unregisterRegion(frame.argument).then(() => {
      connection.regions--;
    });
    connection.later(frame, work, () => answerEmpty(connection, header, 0, 0));
  },
  [FRAME.cancel]: (connection, frame) => {
    checkBody(frame, 0);
    connection.cancel(frame.argument);
  },
});

function tableOf(handlers: Record<number, Handler>): readonly (Handler | undefined)[] {
  const table: (Handler | undefined)[] = [];
  for (const [type, handler] of Object.entries(handlers)) table[Number(type)] = handler;
  return table;
}

function durabilityOf(frame: Frame): 'memory' | 'shared' {
  return (frame.flags & FRAME_FLAG.shared) === 0 ? 'memory' : 'shared';
}

function keysOf(connection: ServerConnection, frame: Frame): Uint32Array {
  checkNamespace(connection, frame);
  checkRows(frame, KEY_BYTES);
  return frame.body();
}

function exists(connection: ServerConnection, frame: Frame): void {
  const keys = keysOf(connection, frame);
  const { writer } = connection.outbox;
  const { request, count } = frame;
  const type = frame.type | REPLY_BIT;
  const at = writer.begin(count);
  const { words } = writer;
  const present = new Uint8Array(words.buffer, (at + FRAME_HEADER_WORDS) * 4, count);
  const end = () => writer.end(words, at, type, 0, request, 0, 0, count, 0);
  const result = connection.session.exists(frame.namespace, keys, count, present);
  if (result === undefined) end();
  else connection.later(frame, result, end);
}

function openNamespace(connection: ServerConnection, frame: Frame): void {
  checkBody(frame, frame.count);
  const { request } = frame;
  const { fingerprint, policy } = namespaceRequest(jsonOf(frame, 0, frame.count));
  connection.later(frame, connection.session.openNamespace(fingerprint, policy), (record) => {
    connection.namespaces.add(record.index);
    const text = utf8Of({ fingerprint: record.fingerprint, policy: record.policy });
    const { writer } = connection.outbox;
    const at = writer.begin(record.id.length + text.length);
    const { words } = writer;
    fillBytes(words, at, record.id);
    fillBytes(words, at, text, record.id.length);
    writer.end(words, at, FRAME.namespace | REPLY_BIT, 0, request, 0, record.index, text.length, 0);
  });
}
