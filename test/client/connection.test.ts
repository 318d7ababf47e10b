import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createConnect, systemChance, systemClock } from '@refill/client';
import { FRAME, keyOf, REPLY_BIT } from '@refill/interface';
import t from 'tap';
import { FINGERPRINT, keys, payload, serveDouble, until } from '../fixtures/served-double.ts';
import { NodeDouble } from '../fixtures/session-double.ts';
import { frameOf } from '../fixtures/wire-client.ts';

const ALL = keys(4);

/** A promise that the test settles. */
function gate(): { wait: Promise<void>; open: () => void } {
  let open = () => {};
  const wait = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { wait, open };
}

/** Repeats a call until the client has tried to connect again and found the node. */
async function untilBack(call: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    try {
      await call();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  throw new Error('the node did not come back');
}

t.test('an abort rejects at once, whatever the node is doing, and nothing stays behind', async (t) => {
  const { node, server, connect } = await serveDouble(t);
  const store = await connect();
  const kv = await store.namespace(FINGERPRINT);
  node.regionMemory.set('/dev/shm/x', new Uint8Array(4096));
  await kv.putMany(ALL.map((key, i) => ({ key, bytes: payload(100, i) })));
  const region = await store.registerRegion({ path: '/dev/shm/x' }, 4096);
  const places = ALL.map((_, i) => ({ offsetBytes: i * 100, lengthBytes: 100 }));
  const fresh = { key: keyOf('fresh') };
  const other = { ...FINGERPRINT, name: 'other' };
  const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    namespace: (signal) => store.namespace(other, { signal }),
    put: (signal) => kv.put(fresh, payload(10, 1), { signal }),
    putFrom: (signal) => kv.putFrom(region, [{ ...fresh, offsetBytes: 0, lengthBytes: 10 }], { signal }),
    reserve: (signal) => kv.reserve(fresh, 10, { signal }),
    get: (signal) => kv.get(ALL[0]!, { signal }),
    getMany: (signal) => kv.getMany(ALL, { signal }),
    getInto: (signal) => kv.getInto(region, ALL, places, { signal }),
    matchPrefix: (signal) => kv.matchPrefix(ALL, { signal }),
    exists: (signal) => kv.exists(ALL, { signal }),
    prefetch: (signal) => kv.prefetch(ALL, { signal }),
    pin: (signal) => kv.pin(ALL, { signal }),
    flush: (signal) => store.flush({ signal }),
    registerRegion: (signal) => store.registerRegion({ path: '/dev/shm/x' }, 4096, { signal }),
    delete: (signal) => kv.delete(keys(1, 99), { signal }),
  };
  for (const [name, call] of Object.entries(calls)) {
    await t.rejects(call(AbortSignal.abort(new Error('before'))), { code: 'ERR_ABORTED' }, `${name} before`);
    for (const when of ['in this tick', 'under way']) {
      const held = gate();
      let isUnderWay = false;
      node.before = () => {
        isUnderWay = true;
        return held.wait;
      };
      const controller = new AbortController();
      const pending = call(controller.signal);
      pending.catch(() => undefined);
      if (when === 'under way') await until(() => isUnderWay);
      const reason = new Error(name);
      controller.abort(reason);
      await t.rejects(pending, { code: 'ERR_ABORTED', cause: reason }, `${name} ${when}`);
      held.open();
      node.before = () => undefined;
      // The node goes through frames in order, so what came before this answer is done.
      await store.status();
    }
  }
  await until(() => node.held === 0);
  const [session] = node.sessions;
  await until(() => session!.kept.size === 0 && session!.regions.size === 1);
  t.ok(server.counters.cancelled > 0);
  t.equal(node.blocks.has('fresh'), false);
  t.equal((await kv.getMany(ALL)).hits, 4, 'the connection goes on');
});

t.test('an abort between reserve and commit gives the room back', async (t) => {
  const { node, connect } = await serveDouble(t);
  const kv = await (await connect()).namespace(FINGERPRINT);
  for (const at of ['reserve', 'commit']) {
    const controller = new AbortController();
    node.before = (call) => {
      if (call === at) controller.abort();
    };
    const put = kv.put({ key: keyOf(`abort at ${at}`) }, payload(10, 1), { signal: controller.signal });
    await t.rejects(put, { code: 'ERR_ABORTED' });
    await until(() => node.held === 0);
  }
});

t.test('what arrives after an abort is given back', async (t) => {
  const { node, connect } = await serveDouble(t);
  const kv = await (await connect()).namespace(FINGERPRINT);
  await kv.put({ key: ALL[0]! }, payload(10, 1));
  let pinned = 0;
  const controller = new AbortController();
  node.before = (call) => {
    if (call !== 'get') return;
    // The reply is on its way when the client aborts.
    setImmediate(() => {
      pinned = node.held;
      controller.abort();
    });
  };
  const get = kv.get(ALL[0]!, { signal: controller.signal });
  await get.then(
    (view) => view?.release(),
    (error) => t.equal(error.code, 'ERR_ABORTED'),
  );
  t.equal(pinned, 1);
  await until(() => node.held === 0);
});

t.test(
  'a node that never answers costs the deadline: reads miss, puts are late, the rest rejects',
  async (t) => {
    const { node, connect, server } = await serveDouble(t);
    const store = await connect();
    const kv = await store.namespace(FINGERPRINT);
    node.before = () => new Promise(() => undefined);
    const options = { deadlineMs: 20 };
    const [views, into, put, puts] = await Promise.all([
      kv.getMany(ALL, options),
      kv.get(ALL[0]!, options),
      kv.put({ key: ALL[0]! }, payload(10, 1), options),
      kv.putMany([{ key: ALL[1]!, bytes: payload(10, 1) }], { ...options, durability: 'shared' }),
      t.rejects(kv.matchPrefix(ALL, options), {
        code: 'ERR_DEADLINE',
        message: /match was not answered within 20 ms/,
      }),
      t.rejects(kv.exists(ALL, options), { code: 'ERR_DEADLINE' }),
      t.rejects(kv.pin(ALL, options), { code: 'ERR_DEADLINE' }),
      t.rejects(kv.reserve({ key: ALL[0]! }, 10, options), { code: 'ERR_DEADLINE' }),
      t.rejects(store.flush(options), { code: 'ERR_DEADLINE' }),
      t.rejects(store.namespace({ ...FINGERPRINT, name: 'other' }, options), { code: 'ERR_DEADLINE' }),
    ]);
    t.equal(views.hits, 0);
    t.equal(views.missReason(3), 'late');
    t.equal(into, undefined);
    t.equal(put, 'late');
    t.same(puts, ['late']);
    await until(() => server.counters.cancelled === 10);
  },
);

t.test('a late answer still gives back what it brought', async (t) => {
  const { node, connect } = await serveDouble(t);
  const kv = await (await connect()).namespace(FINGERPRINT);
  await kv.put({ key: ALL[0]! }, payload(10, 1));
  const held = gate();
  node.before = () => held.wait;
  t.equal(await kv.get(ALL[0]!, { deadlineMs: 10 }), undefined);
  t.equal(await kv.put({ key: ALL[1]! }, payload(10, 1), { deadlineMs: 10 }), 'late');
  held.open();
  node.before = () => undefined;
  await kv.exists(ALL);
  await until(() => node.held === 0);
});

t.test('a lost connection fails what is under way at once, and the next call connects anew', async (t) => {
  const { node, server, connect } = await serveDouble(t);
  const store = await connect();
  const kv = await store.namespace(FINGERPRINT);
  await kv.put({ key: ALL[0]! }, payload(10, 1));
  const view = await kv.get(ALL[0]!);
  const reservation = await kv.reserve({ key: ALL[1]! }, 10);
  node.before = () => new Promise(() => undefined);
  const pending = [
    kv.getMany(ALL),
    kv.matchPrefix(ALL),
    kv.put({ key: ALL[2]! }, payload(1, 1)),
    store.flush(),
  ];
  const settled = Promise.allSettled(pending);
  await store.status();
  await server.stop();
  for (const result of await settled) {
    t.match(result, { status: 'rejected', reason: { code: 'ERR_NODE_CLOSED' } });
  }
  t.throws(() => view?.bytes, { code: 'ERR_NODE_CLOSED' });
  t.throws(() => reservation?.bytes, { code: 'ERR_NODE_CLOSED' });
  await t.rejects(reservation!.commit(), { code: 'ERR_NODE_CLOSED' });
  await t.rejects(kv.get(ALL[0]!), { code: 'ERR_NODE_CLOSED', message: /refill serve/ });
  t.equal(node.held, 0);
  view?.release();
  reservation?.abort();

  node.before = () => undefined;
  await server.start();
  await untilBack(() => kv.exists(ALL));
  using again = await kv.get(ALL[0]!);
  t.same(again?.bytes, payload(10, 1), 'the namespace was opened again');
  t.equal(node.mappings, 1, 'the same incarnation keeps its mapping');
});

t.test(
  'another incarnation of the node is mapped anew, the old mapping goes with its last view',
  async (t) => {
    const { node, server, connect } = await serveDouble(t);
    const store = await connect();
    const kv = await store.namespace(FINGERPRINT);
    await kv.put({ key: ALL[0]! }, payload(10, 1));
    const view = await kv.get(ALL[0]!);
    await server.stop();
    node.epoch++;
    await server.start();
    await kv.exists(ALL);
    t.equal(node.mappings, 2, 'the old one is still looked at');
    view?.release();
    t.equal(node.mappings, 1);
    await store.close();
    t.equal(node.mappings, 0);
  },
);

t.test('while the node is away calls fail at once, most without an attempt', async (t) => {
  const { server, connect } = await serveDouble(t);
  const kv = await (await connect()).namespace(FINGERPRINT);
  await server.stop();
  for (let i = 0; i < 50; i++) await t.rejects(kv.exists(ALL), { code: 'ERR_NODE_CLOSED' });
  await server.start();
  await untilBack(() => kv.exists(ALL));
});

t.test('calls made while the connection is away share one attempt', async (t) => {
  const { server, connect } = await serveDouble(t);
  const kv = await (await connect()).namespace(FINGERPRINT);
  await server.stop();
  await server.start();
  const before = server.counters.connections;
  const answers = await Promise.all(Array.from({ length: 50 }, () => kv.matchPrefix(ALL)));
  t.same(new Set(answers), new Set([0]));
  t.equal(server.counters.connections, before + 1);
});

t.test('a closed store refuses calls and closing again is nothing', async (t) => {
  const { node, connect } = await serveDouble(t);
  const store = await connect();
  const kv = await store.namespace(FINGERPRINT);
  const pending = kv.getMany(ALL);
  pending.catch(() => undefined);
  await store.close();
  await store.close();
  await t.rejects(pending, { code: 'ERR_NODE_CLOSED' });
  await t.rejects(kv.getMany(ALL), { code: 'ERR_NODE_CLOSED', message: /was closed/ });
  await t.rejects(store.status(), { code: 'ERR_NODE_CLOSED' });
  await until(() => node.sessions.size === 0);
  t.equal(node.mappings, 0);
  t.equal(node.closes, 1);
});

t.test('connecting says why it cannot', async (t) => {
  const { connect, socketPath } = await serveDouble(t);
  await t.rejects(connect({ socketPath: `${socketPath}.none` }), {
    code: 'ERR_NODE_CLOSED',
    message: /no node listens there.*refill serve/,
  });
  await t.rejects(connect({ socketPath: '' }), { name: 'TypeError', message: /socketPath must be/ });
  await t.rejects(connect({ deadlineMs: -1 }), { name: 'RangeError', message: /deadlineMs/ });
  await t.rejects(connect({ signal: AbortSignal.abort() }), { code: 'ERR_ABORTED' });
});

t.test('another namespace of the name is refused with the differing field', async (t) => {
  const { connect } = await serveDouble(t);
  const store = await connect();
  await store.namespace(FINGERPRINT);
  await t.rejects(store.namespace({ ...FINGERPRINT, dtype: 'fp8' }), {
    code: 'ERR_FINGERPRINT_MISMATCH',
    message: /dtype/,
  });
  await t.rejects(store.namespace({ name: 'x' } as never), {
    name: 'TypeError',
    message: /fingerprint\.model/,
  });
});

t.test('a peer that is no node, or says nothing, is given up', async (t) => {
  const { socketPath, node } = await serveDouble(t);
  const answers: [name: string, behave: (socket: Socket) => void, code: string][] = [
    ['garbage', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n          '), 'ERR_NODE_CLOSED'],
    [
      'an unasked reply',
      (socket) => socket.write(frameOf({ type: FRAME.get | REPLY_BIT, request: 7 })),
      'ERR_NODE_CLOSED',
    ],
    [
      'a welcome of nothing',
      (socket) => socket.write(frameOf({ type: FRAME.hello | REPLY_BIT, request: 1 })),
      'ERR_PROTOCOL',
    ],
    ['silence', () => undefined, 'ERR_DEADLINE'],
    ['an end', (socket) => socket.end(), 'ERR_NODE_CLOSED'],
  ];
  for (const [name, behave, code] of answers) {
    const path = `${socketPath}.fake`;
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => behave(socket));
    }).listen(path);
    await once(server, 'listening');
    const connect = createConnect({
      sharedMemory: node.sharedMemory,
      clock: systemClock,
      chance: systemChance,
      warn: () => undefined,
    });
    await t.rejects(connect({ socketPath: path, deadlineMs: 300 }), { code }, name);
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  }
});

t.test('an arena that cannot be mapped fails the connection', async (t) => {
  const { socketPath, node } = await serveDouble(t);
  const connect = createConnect({
    sharedMemory: { ...node.sharedMemory, mapArena: () => Promise.reject(new Error('no arena')) },
    clock: systemClock,
    chance: systemChance,
    warn: () => undefined,
  });
  await t.rejects(connect({ socketPath }), { message: 'no arena' });
  await until(() => node.sessions.size === 0);
});

t.test("status is the node's own", async (t) => {
  const { connect } = await serveDouble(t, { epoch: 41 });
  const store = await connect();
  t.match(await store.status(), { nodeName: new NodeDouble().nodeName, epoch: 41, sessions: 1 });
  await store.flush();
});
