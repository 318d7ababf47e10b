import {
  DEADLINE_MS_DEFAULT,
  DEADLINE_MS_MAX,
  FRAME,
  FRAME_WORD,
  type Frame,
  KEYS_PER_CALL_MAX,
  padded,
} from '@refill/interface';
import t from 'tap';
import {
  checkBody,
  checkHeader,
  checkNamespace,
  checkRows,
  deadlineOf,
} from '../../../packages/store/src/server/arguments.ts';
import type { ServerConnection } from '../../../packages/store/src/server/connection.ts';

const frameOf = (fields: Partial<Frame>): Frame =>
  ({
    type: FRAME.get,
    flags: 0,
    at: 0,
    words: new Uint32Array(16),
    count: 0,
    bodyBytes: 0,
    deadlineMs: 0,
    ...fields,
  }) as unknown as Frame;

t.test('a header with what no client writes is not of this protocol', async (t) => {
  checkHeader(frameOf({}));
  t.throws(() => checkHeader(frameOf({ flags: 0x8000 })), {
    code: 'ERR_PROTOCOL',
    message: /flags 0x8000 are unknown/,
  });
  const words = new Uint32Array(16);
  words[FRAME_WORD.zero] = 1;
  t.throws(() => checkHeader(frameOf({ words })), { code: 'ERR_PROTOCOL', message: /reserved word/ });
});

t.test('a body is as long as the header says, rounded up as frames are', async (t) => {
  checkBody(frameOf({ bodyBytes: padded(33) }), 33);
  checkRows(frameOf({ count: 3, bodyBytes: padded(96) }), 32);
  for (const bodyBytes of [padded(96) - 8, padded(96) + 8, 0]) {
    t.throws(() => checkRows(frameOf({ count: 3, bodyBytes }), 32), {
      code: 'ERR_PROTOCOL',
      message: new RegExp(`get has a body of ${bodyBytes} bytes, its header says 96`),
    });
  }
  t.throws(() => checkBody(frameOf({ bodyBytes: 0 }), 2 ** 32), { code: 'ERR_PROTOCOL' });
});

t.test('more entries than a call takes are refused by number, with the way out', async (t) => {
  const count = KEYS_PER_CALL_MAX + 1;
  t.throws(() => checkRows(frameOf({ count, bodyBytes: padded(count * 32) }), 32), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /get has 16385 entries, at most 16384 go into one call; split it/,
  });
});

t.test('no deadline means the default, one too long is refused', async (t) => {
  t.equal(deadlineOf(frameOf({})), DEADLINE_MS_DEFAULT);
  t.equal(deadlineOf(frameOf({ deadlineMs: DEADLINE_MS_MAX })), DEADLINE_MS_MAX);
  t.throws(() => deadlineOf(frameOf({ deadlineMs: DEADLINE_MS_MAX + 1 })), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /deadlineMs is 600001, at most 600000/,
  });
});

t.test('a namespace must have been opened on the connection', async (t) => {
  const connection = { namespaces: new Set([3]) } as unknown as ServerConnection;
  checkNamespace(connection, frameOf({ namespace: 3 }));
  t.throws(() => checkNamespace(connection, frameOf({ namespace: 0 })), {
    code: 'ERR_NAMESPACE_UNKNOWN',
    message: /namespace 0 was not opened .*Open it first/,
  });
});
