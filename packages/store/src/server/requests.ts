import {
  FD_TOKEN_BYTES,
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_WORDS,
  type Frame,
  fillBytes,
  getU64,
  jsonOf,
  KEY_BYTES,
  PUT_ROW_WORDS,
  READ_ROW,
  READ_ROW_WORDS,
  REGION_ROW_WORDS,
  REGIONS_PER_CLIENT_MAX,
  REPLY_BIT,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  RefillError,
  ROW_STATUS,
  textOf,
  utf8Of,
} from '@refill/interface';
import { checkBody, checkRows, deadlineOf } from './arguments.ts';
import type { PassedFd, ServerConnection } from './connection.ts';
import { namespaceRequest } from './namespace-request.ts';

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
    checkRows(frame, 4);
    const deadlineMs = deadlineOf(frame);
    answerRows(connection, frame, 1, (statuses) =>
      connection.session.commit(
        frame.body(0, frame.count),
        frame.count,
        durabilityOf(frame),
        deadlineMs,
        statuses,
      ),
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
    checkRows(frame, (PUT_ROW_WORDS + REGION_ROW_WORDS) * 4);
    const deadlineMs = deadlineOf(frame);
    const puts = frame.count * PUT_ROW_WORDS;
    answerRows(connection, frame, 1, (statuses) =>
      connection.session.putFrom(
        frame.namespace,
        frame.argument,
        frame.body(0, puts),
        frame.body(puts, frame.count * REGION_ROW_WORDS),
        frame.count,
        durabilityOf(frame),
        deadlineMs,
        statuses,
      ),
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
    const text = utf8Of(connection.parts.node.status());
    const { writer } = connection.outbox;
    const at = writer.begin(text.length);
    fillBytes(writer.words, at, text);
    writer.end(writer.words, at, frame.type | REPLY_BIT, 0, frame.request, 0, 0, text.length, 0);
  },
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

interface Header {
  type: number;
  request: number;
}

function headerOf(frame: Frame): Header {
  return { type: frame.type, request: frame.request };
}

function durabilityOf(frame: Frame): 'memory' | 'shared' {
  return (frame.flags & FRAME_FLAG.shared) === 0 ? 'memory' : 'shared';
}

function checkNamespace(connection: ServerConnection, frame: Frame): void {
  if (connection.namespaces.has(frame.namespace)) return;
  throw new RefillError(
    'ERR_NAMESPACE_UNKNOWN',
    `namespace ${frame.namespace} was not opened on this connection`,
    { fix: 'Open it first: namespaces belong to a connection' },
  );
}

function keysOf(connection: ServerConnection, frame: Frame): Uint32Array {
  checkNamespace(connection, frame);
  checkRows(frame, KEY_BYTES);
  return frame.body();
}

/** Lets `work` fill the rows of the reply where they will be sent from. */
function answerRows(
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

function answerCount(
  connection: ServerConnection,
  frame: Frame,
  result: number | Promise<number>,
  undo?: () => void,
): void {
  const header = headerOf(frame);
  if (typeof result === 'number') answerEmpty(connection, header, result, 0);
  else connection.later(frame, result, (count) => answerEmpty(connection, header, count, 0), undo);
}

function answerEmpty(connection: ServerConnection, header: Header, count: number, argument: number): void {
  const { writer } = connection.outbox;
  const at = writer.begin(0);
  writer.end(writer.words, at, header.type | REPLY_BIT, 0, header.request, 0, 0, count, argument);
}

/** Slots of the rows that have this status, packed. */
function slotsOf(
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

function registerRegion(connection: ServerConnection, frame: Frame): void {
  checkBody(frame, 8 + frame.count);
  const header = headerOf(frame);
  const sizeBytes = getU64(frame.words, frame.bodyAt);
  if (connection.regions >= REGIONS_PER_CLIENT_MAX) {
    throw new RefillError('ERR_LIMIT', `a client may register ${REGIONS_PER_CLIENT_MAX} regions`, {
      fix: 'Unregister one, or register one larger region',
    });
  }
  const source = sourceOf(connection, frame);
  connection.regions++;
  const work = connection.session
    .registerRegion(source, sizeBytes)
    .catch((error: unknown) => {
      connection.regions--;
      throw error;
    })
    // The engine has a descriptor of its own; without this the client's memory would outlive it.
    .finally(() => {
      if ('fd' in source) source.close();
    });
  connection.later(
    frame,
    work,
    (region) => answerEmpty(connection, header, 0, region),
    (region) => {
      connection.regions--;
      connection.session.unregisterRegion(region).catch((error: Error) => {
        connection.parts.log.error('unregistering a cancelled region: %s', error.message);
      });
    },
  );
}

function sourceOf(connection: ServerConnection, frame: Frame): { path: string } | PassedFd {
  if ((frame.flags & FRAME_FLAG.token) === 0) return { path: textOf(frame, 8, frame.count) };
  if (frame.count !== FD_TOKEN_BYTES) {
    throw new RefillError('ERR_PROTOCOL', `a token is ${FD_TOKEN_BYTES} bytes, not ${frame.count}`);
  }
  const passed = connection.parts.takePassedFd?.(frame.bytes(8, FD_TOKEN_BYTES).slice());
  if (passed !== undefined) return passed;
  throw new RefillError('ERR_HANDLE_UNKNOWN', 'no file descriptor was passed under this token', {
    fix: 'Pass it through the fd socket of this node first; it is kept for 30 s',
  });
}
