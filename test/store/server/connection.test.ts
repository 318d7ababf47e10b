import {
  FRAME,
  FRAME_BYTES_MAX,
  FRAME_FLAG,
  KEYS_PER_CALL_MAX,
  REGIONS_PER_CLIENT_MAX,
  REPLY_BIT,
  RESERVE_ROW,
} from '@refill/interface';
import t from 'tap';
import { keys, serveDouble, until } from '../../fixtures/served-double.ts';
import {
  type FrameFields,
  frameOf,
  helloFrame,
  namespaceFrame,
  WireClient,
  withWord,
} from '../../fixtures/wire-client.ts';

const KEY = keys(1)[0]!;
const GET: FrameFields = { type: FRAME.get, request: 9, namespace: 1, count: 1, body: KEY };

t.test('bytes that are no stream of frames get an error where one can be read, then the end', async (t) => {
  const { node, server, socketPath } = await serveDouble(t);
  const status = frameOf({ type: FRAME.status, request: 9 });
  const streams: Record<string, [greeted: boolean, bytes: Uint8Array, code: string]> = {
    'HTTP instead of a hello': [
      false,
      Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\n\r\n${' '.repeat(32)}`),
      'ERR_PROTOCOL',
    ],
    zeros: [false, new Uint8Array(64), 'ERR_PROTOCOL'],
    'a request before the hello': [false, status, 'ERR_PROTOCOL'],
    'a hello of another protocol': [
      false,
      frameOf({ type: FRAME.hello, request: 1, body: new Uint8Array(16) }),
      'ERR_PROTOCOL',
    ],
    'a hello of another version': [false, newerHello(), 'ERR_VERSION'],
    'a second hello': [true, helloFrame(9), 'ERR_PROTOCOL'],
    'an oversize frame': [true, withWord(status, 'length', FRAME_BYTES_MAX + 8), 'ERR_PROTOCOL'],
    'a frame shorter than a header': [true, withWord(status, 'length', 24), 'ERR_PROTOCOL'],
    'a length that is not a multiple of 8': [true, withWord(status, 'length', 33), 'ERR_PROTOCOL'],
    'an unknown type': [true, frameOf({ type: 999, request: 9 }), 'ERR_PROTOCOL'],
    'type zero': [true, frameOf({ type: 0, request: 9 }), 'ERR_PROTOCOL'],
    'a reply': [true, frameOf({ type: FRAME.get | REPLY_BIT, request: 9 }), 'ERR_PROTOCOL'],
    'unknown flags': [true, frameOf({ type: FRAME.status, request: 9, flags: 0x80 }), 'ERR_PROTOCOL'],
    'a reserved word that is not zero': [true, withWord(status, 'zero', 1), 'ERR_PROTOCOL'],
    'request zero': [true, frameOf({ type: FRAME.status }), 'ERR_PROTOCOL'],
    'a body shorter than its count': [true, frameOf({ ...GET, count: 2 }), 'ERR_PROTOCOL'],
    'a body longer than its count': [true, frameOf({ ...GET, count: 0 }), 'ERR_PROTOCOL'],
    'a namespace that is no JSON': [
      true,
      frameOf({ type: FRAME.namespace, request: 9, count: 8, body: new Uint8Array(8).fill(0xff) }),
      'ERR_PROTOCOL',
    ],
    'a token of another length': [
      true,
      frameOf({
        type: FRAME.registerRegion,
        flags: FRAME_FLAG.token,
        request: 9,
        count: 8,
        body: new Uint8Array(16),
      }),
      'ERR_PROTOCOL',
    ],
  };
  let errors = 0;
  for (const [name, [greeted, bytes, code]] of Object.entries(streams)) {
    const client = greeted ? await WireClient.ready(socketPath) : await WireClient.open(socketPath);
    client.socket.write(bytes);
    const { error, request } = await client.answer(greeted ? 2 : 0);
    t.equal(error?.code, code, name);
    t.equal(request, 0);
    await client.closed();
    t.equal(server.counters.protocolErrors, ++errors);
  }
  await until(() => node.sessions.size === 0);
  t.equal(node.closes, node.sessionsOpened);
});

t.test('a wrong argument is answered and the connection goes on', async (t) => {
  const { socketPath } = await serveDouble(t);
  const client = await WireClient.ready(socketPath);
  const tooMany = new Uint8Array((KEYS_PER_CALL_MAX + 1) * 32);
  const json = (value: unknown) => {
    const body = Buffer.from(JSON.stringify(value));
    return { type: FRAME.namespace, count: body.length, body };
  };
  const wrong: [FrameFields, code: string][] = [
    [{ ...GET, namespace: 7 }, 'ERR_NAMESPACE_UNKNOWN'],
    [{ ...GET, deadlineMs: 600_001 }, 'ERR_INVALID_ARGUMENT'],
    [{ ...GET, count: KEYS_PER_CALL_MAX + 1, body: tooMany }, 'ERR_INVALID_ARGUMENT'],
    [{ type: FRAME.commit, count: 1, body: new Uint8Array([9, 0, 0, 0]) }, 'ERR_HANDLE_UNKNOWN'],
    [
      { type: FRAME.getInto, namespace: 1, argument: 3, count: 1, body: new Uint8Array(44) },
      'ERR_HANDLE_UNKNOWN',
    ],
    [{ type: FRAME.unregisterRegion, argument: 3 }, 'ERR_HANDLE_UNKNOWN'],
    [
      { type: FRAME.registerRegion, flags: FRAME_FLAG.token, count: 16, body: new Uint8Array(24) },
      'ERR_HANDLE_UNKNOWN',
    ],
    [json(5), 'ERR_INVALID_ARGUMENT'],
    [json({ fingerprint: { name: 'x' } }), 'ERR_INVALID_ARGUMENT'],
    [json({ fingerprint: null }), 'ERR_INVALID_ARGUMENT'],
    [
      json({
        fingerprint: { name: 'n', model: 'm', dtype: 'd', layout: 'l', tokensPerBlock: 1 },
        policy: { x: 1 },
      }),
      'ERR_INVALID_ARGUMENT',
    ],
  ];
  for (const [i, [fields, code]] of wrong.entries()) {
    client.socket.write(frameOf({ ...fields, request: 100 + i }));
    const { error, request } = await client.answer(2 + i);
    t.equal(error?.code, code, `${i}: ${error?.message}`);
    t.equal(request, 100 + i);
  }
  client.socket.write(frameOf({ type: FRAME.release, count: 1, body: new Uint8Array([9, 0, 0, 0]) }));
  const refused = await client.answer(2 + wrong.length);
  t.equal(refused.error?.code, 'ERR_HANDLE_UNKNOWN');
  t.equal(refused.request, 0, 'a frame without a reply is answered under 0');
  client.socket.write(frameOf(GET));
  t.equal((await client.answer(3 + wrong.length)).type, FRAME.get | REPLY_BIT);
  client.socket.destroy();
});

t.test('an exception of the node is an error of that request alone', async (t) => {
  const { node, socketPath } = await serveDouble(t);
  const client = await WireClient.ready(socketPath);
  node.before = (call) => {
    if (call === 'get') throw new Error('a bug');
    if (call === 'match') return Promise.reject(new Error('another bug'));
    return undefined;
  };
  client.socket.write(frameOf(GET));
  t.match(await client.answer(2), { request: 9, error: { code: 'ERR_INTERNAL', message: 'a bug' } });
  client.socket.write(frameOf({ ...GET, type: FRAME.match }));
  t.match(await client.answer(3), { request: 9, error: { code: 'ERR_INTERNAL', message: 'another bug' } });
  client.socket.write(frameOf({ type: FRAME.status, request: 10 }));
  t.equal((await client.answer(4)).type, FRAME.status | REPLY_BIT);
  client.socket.destroy();
});

t.test('a byte at a time is as good as a frame at a time', async (t) => {
  const { socketPath } = await serveDouble(t);
  const client = await WireClient.open(socketPath);
  client.socket.setNoDelay();
  for (const byte of Buffer.concat([helloFrame(), namespaceFrame(2), frameOf(GET)])) {
    client.socket.write(new Uint8Array([byte]));
    await new Promise(setImmediate);
  }
  t.equal((await client.answer(2)).type, FRAME.get | REPLY_BIT);
  client.socket.destroy();
});

t.test('requests run at once and are answered when they are done', async (t) => {
  const { node, socketPath } = await serveDouble(t);
  const client = await WireClient.ready(socketPath);
  let finish = () => {};
  node.before = (call) =>
    call === 'match'
      ? new Promise<void>((resolve) => {
          finish = resolve;
        })
      : undefined;
  client.socket.write(
    Buffer.concat([frameOf({ ...GET, type: FRAME.match, request: 10 }), frameOf({ ...GET, request: 11 })]),
  );
  t.equal((await client.answer(2)).request, 11);
  client.socket.write(frameOf({ ...GET, request: 10 }));
  t.match((await client.answer(3)).error, { code: 'ERR_PROTOCOL', message: /request 10 is under way/ });
  finish();
  await client.closed();
});

t.test('a cancelled request is answered once and what it got is given back', async (t) => {
  const { node, server, socketPath } = await serveDouble(t);
  const client = await WireClient.ready(socketPath);
  const put = new Uint8Array(80);
  put.set(KEY);
  put[64] = 100;
  let finish = () => {};
  node.before = () => new Promise<void>((resolve) => (finish = resolve));
  client.socket.write(frameOf({ type: FRAME.reserve, request: 5, namespace: 1, count: 1, body: put }));
  client.socket.write(frameOf({ type: FRAME.cancel, argument: 5 }));
  client.socket.write(frameOf({ type: FRAME.cancel, argument: 77 }));
  await until(() => server.counters.cancelled === 1);
  finish();
  t.match(await client.answer(2), { request: 5, error: { code: 'ERR_ABORTED' } });
  t.equal(node.held, 0, 'the reservation was aborted');
  client.socket.destroy();
});

t.test('a region whose unregistering was cancelled is counted no more', async (t) => {
  const { node, socketPath } = await serveDouble(t);
  node.regionMemory.set('r', new Uint8Array(8));
  const client = await WireClient.ready(socketPath);
  const body = new Uint8Array(16);
  body.set([8, 0, 0, 0, 0, 0, 0, 0, 'r'.charCodeAt(0)]);
  const register = { type: FRAME.registerRegion, count: 1, body };
  for (let i = 0; i <= REGIONS_PER_CLIENT_MAX; i++) {
    client.socket.write(frameOf({ ...register, request: 10 }));
    const { argument, error } = await client.answer(2 + 2 * i);
    t.equal(error, undefined, `registration ${i}`);
    client.socket.write(
      Buffer.concat([
        frameOf({ type: FRAME.unregisterRegion, request: 11, argument }),
        frameOf({ type: FRAME.cancel, argument: 11 }),
      ]),
    );
    t.match((await client.answer(3 + 2 * i)).error, { code: 'ERR_ABORTED' });
  }
  client.socket.destroy();
});

t.test('a count that no body can hold is refused, whatever it wraps to', async (t) => {
  const { socketPath } = await serveDouble(t);
  for (const type of [FRAME.namespace, FRAME.registerRegion]) {
    for (const count of [0xffffffff, 0xfffffff8, 0xfffffff1, 0x80000000]) {
      const client = await WireClient.ready(socketPath);
      client.socket.write(frameOf({ type, request: 9, count }));
      t.match((await client.answer(2)).error, { code: 'ERR_PROTOCOL', message: /has a body of 0 bytes/ });
      await client.closed();
    }
  }
});

t.test('a client that asks for too much at once is read no further until it is answered', async (t) => {
  const { node, server, socketPath } = await serveDouble(t, { bounds: { requestsMax: 8 } });
  const client = await WireClient.ready(socketPath);
  const waiting: (() => void)[] = [];
  node.before = () => new Promise<void>((resolve) => waiting.push(resolve));
  for (let i = 0; i < 100; i++) {
    client.socket.write(frameOf({ ...GET, request: 100 + i }));
    await new Promise(setImmediate);
  }
  await until(() => server.counters.pauses > 0);
  t.ok(waiting.length < 100, `${waiting.length} under way`);
  while (client.answers.length < 102) {
    for (const resolve of waiting.splice(0)) resolve();
    await new Promise(setImmediate);
  }
  t.equal(client.answers.length, 102);
  client.socket.destroy();
});

t.test('a client that takes no replies is read no further, then disconnected', async (t) => {
  const bounds = { outgoingBytesMax: 64 * 1024, stallMs: 200 };
  const { node, server, socketPath } = await serveDouble(t, { bounds });
  const client = await WireClient.ready(socketPath);
  client.socket.pause();
  const all = new Uint8Array(Buffer.concat(keys(1000)));
  for (let i = 0; i < 200 && server.counters.pauses === 0; i++) {
    client.socket.write(frameOf({ ...GET, request: 100 + i, count: 1000, body: all }));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  t.equal(server.counters.pauses, 1);
  await until(() => server.counters.stalled === 1);
  await until(() => node.sessions.size === 0);
  client.socket.resume();
  await client.closed();
});

t.test('a connection that never says hello is ended', async (t) => {
  const { node, server, socketPath } = await serveDouble(t, { bounds: { helloMs: 50, lingerMs: 50 } });
  const client = await WireClient.open(socketPath);
  t.match((await client.answer(0)).error, { code: 'ERR_PROTOCOL', message: /no hello/ });
  await until(() => node.sessions.size === 0);
  t.equal(server.counters.protocolErrors, 1);
});

t.test('an end inside a frame is counted', async (t) => {
  const { node, server, socketPath } = await serveDouble(t);
  const client = await WireClient.ready(socketPath);
  client.socket.end(frameOf(GET).subarray(0, 40));
  await until(() => node.sessions.size === 0);
  t.equal(server.counters.protocolErrors, 1);
});

t.test('a client that is gone while its requests are under way leaves nothing', async (t) => {
  const { node, socketPath } = await serveDouble(t);
  const client = await WireClient.ready(socketPath);
  const waiting: (() => void)[] = [];
  node.before = () => new Promise<void>((resolve) => waiting.push(resolve));
  for (let i = 0; i < 10; i++) client.socket.write(frameOf({ ...GET, request: 100 + i }));
  await until(() => waiting.length === 10);
  client.socket.destroy();
  await until(() => node.closes === 1);
  for (const resolve of waiting) resolve();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(node.closes, 1);
  t.equal(node.held, 0);
});

function newerHello(): Uint8Array {
  const hello = helloFrame();
  hello.set([9, 0, 9, 0], 36);
  return hello;
}

t.test('what is received later does not change a request that is under way', async (t) => {
  const { node, server, socketPath } = await serveDouble(t);
  const client = await WireClient.ready(socketPath);
  const put = new Uint8Array(80);
  put.set(KEY);
  put[64] = 100;
  client.socket.write(frameOf({ type: FRAME.reserve, request: 5, namespace: 1, count: 1, body: put }));
  const { body: row } = await client.answer(2);
  const words = new Uint32Array(row.buffer.slice(row.byteOffset, row.byteOffset + row.length));
  const slot = new Uint8Array(Uint32Array.of(words[RESERVE_ROW.slot]!).buffer);
  client.socket.write(frameOf({ type: FRAME.commit, request: 6, count: 1, body: slot }));
  await client.answer(3);
  let finish = () => {};
  node.before = (call) =>
    call === 'exists' ? new Promise<void>((resolve) => (finish = resolve)) : undefined;
  client.socket.write(frameOf({ type: FRAME.exists, request: 7, namespace: 1, count: 1, body: KEY }));
  for (let i = 0; i < 8; i++) {
    const { frames } = server.counters;
    client.socket.write(
      frameOf({ type: FRAME.touch, request: 8 + i, namespace: 1, count: 1, body: keys(9)[8]! }),
    );
    await until(() => server.counters.frames > frames);
  }
  finish();
  await until(() => client.answers.some((answer) => answer.request === 7));
  const answer = client.answers.find(({ request }) => request === 7);
  t.equal(answer?.body[0], 1, 'its key was still there to be found');
  client.socket.destroy();
});

t.test(
  'calls about sharing answer in the frames of their rows, and refuse what is out of bounds',
  async (t) => {
    const { node, socketPath } = await serveDouble(t);
    const client = await WireClient.ready(socketPath);
    const ask = async (fields: Partial<FrameFields> & { type: number }) => {
      const index = client.answers.length;
      client.socket.write(frameOf({ request: 9, namespace: 1, count: 1, body: KEY, ...fields }));
      return client.answer(index);
    };
    const looked = await ask({ type: FRAME.lookup });
    t.match(looked, { type: FRAME.lookup | REPLY_BIT, request: 9, count: 1 });
    t.equal(looked.body.length, 16);
    const located = await ask({ type: FRAME.locate, argument: 2 });
    const nodes = JSON.parse(Buffer.from(located.body.subarray(0, located.count)).toString());
    t.equal(nodes.length, 2);
    const explained = await ask({ type: FRAME.explain });
    t.match(JSON.parse(Buffer.from(explained.body.subarray(0, explained.count)).toString()), { keys: 1 });
    const acquired = await ask({ type: FRAME.acquireFill, argument: 700 });
    t.match(acquired, { type: FRAME.acquireFill | REPLY_BIT, count: 1 });
    t.same([...new Uint32Array(acquired.body.slice().buffer)], [0, 700]);
    t.equal(node.fills.size, 1);
    client.socket.write(frameOf({ type: FRAME.releaseFill, argument: acquired.argument }));
    client.socket.write(frameOf({ type: FRAME.releaseFill, argument: acquired.argument }));
    t.match(await ask({ type: FRAME.awaitFill }), { type: FRAME.awaitFill | REPLY_BIT, count: 0 });
    t.equal(node.fills.size, 0);
    for (const type of [FRAME.lookup, FRAME.locate, FRAME.explain, FRAME.acquireFill, FRAME.awaitFill]) {
      t.equal((await ask({ type, namespace: 7 })).error?.code, 'ERR_NAMESPACE_UNKNOWN');
    }
    for (const type of [FRAME.locate, FRAME.acquireFill, FRAME.awaitFill]) {
      t.equal((await ask({ type, deadlineMs: 600_001 })).error?.code, 'ERR_INVALID_ARGUMENT');
    }
  },
);

t.test('a cancelled fill lease is given back, and a connection that ends leaves none', async (t) => {
  const { node, socketPath } = await serveDouble(t);
  const client = await WireClient.ready(socketPath);
  let go = (): void => {};
  node.before = (call) =>
    call === 'acquireFill' ? new Promise<void>((resolve) => (go = resolve)) : undefined;
  const acquire = frameOf({ type: FRAME.acquireFill, request: 9, namespace: 1, count: 1, body: KEY });
  client.socket.write(acquire);
  client.socket.write(frameOf({ type: FRAME.cancel, argument: 9 }));
  client.socket.write(frameOf({ type: FRAME.status, request: 10 }));
  await client.answer(2);
  go();
  t.equal((await client.answer(3)).error?.code, 'ERR_ABORTED');
  t.equal(node.fills.size, 0);
  node.before = () => undefined;
  client.socket.write(acquire);
  await client.answer(4);
  t.equal(node.fills.size, 1);
  client.socket.destroy();
  await until(() => node.fills.size === 0);
});
