import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlNetwork } from '@refill/interface';
import t, { type Test } from 'tap';
import { ECHO, echoing, portOf } from '../fixtures/control-members.ts';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';

const OPTIONS = { deadlineMs: 20_000 };
const BODY = Uint8Array.of(1, 2, 3);

interface Path {
  proxy: TcpProxy;
  a: ControlNetwork;
  to: ControlNetwork['self'];
}

/** A member, and another that reaches it only through a proxy. */
async function throughProxy(t: Test, rules: Partial<TcpProxy['rules']> = {}): Promise<Path> {
  const b = await echoing(t);
  const proxy = new TcpProxy(portOf(b), rules);
  await proxy.start();
  t.teardown(() => proxy.stop());
  return { proxy, a: await echoing(t), to: { ...b.self, addresses: [proxy.multiaddr] } };
}

t.test('byte by byte, slow and late, everything arrives', async (t) => {
  const { proxy, a, to } = await throughProxy(t, { pieceBytes: 1 });
  const body = new Uint8Array(2000).map((_, i) => i * 7);
  t.same(await a.request(to, ECHO, body, OPTIONS), body);
  Object.assign(proxy.rules, { pieceBytes: 65_536, delayMs: 50, bytesPerSecond: 2_000_000 });
  const large = new Uint8Array(600_000).map((_, i) => i * 13);
  const answers = await Promise.all([1, 2, 3].map(() => a.request(to, ECHO, large, OPTIONS)));
  t.ok(answers.every((answer) => Buffer.compare(answer, large) === 0));
  t.equal(proxy.connections, 1);
});

t.test('a half-open connection costs the deadline and a ping, then a new one carries on', async (t) => {
  const { proxy, a, to } = await throughProxy(t);
  await a.request(to, ECHO, BODY, OPTIONS);
  proxy.freeze();
  const waiting = a.request(to, ECHO, BODY, OPTIONS).catch((error) => error);
  await t.rejects(a.request(to, ECHO, BODY, { deadlineMs: 100 }), { code: 'ERR_DEADLINE' });
  t.match(await waiting, { code: 'ERR_PEER_UNREACHABLE', message: /no sign of life/ });
  t.same([...(await a.request(to, ECHO, BODY, OPTIONS))], [1, 2, 3]);
  t.equal(proxy.connections, 2);
});

t.test('a handshake that hangs half-way ends by its deadline', async (t) => {
  const { proxy, a, to } = await throughProxy(t, { delayMs: 300 });
  const asked = a.request(to, ECHO, BODY, { deadlineMs: 600 }).catch((error) => error);
  await sleep(350);
  proxy.freeze();
  t.match(await asked, { code: /ERR_DEADLINE|ERR_PEER_UNREACHABLE/ });
  proxy.rules.delayMs = 0;
  let answer: Uint8Array | undefined;
  while (answer === undefined) answer = await a.request(to, ECHO, BODY, OPTIONS).catch(() => undefined);
  t.same([...answer], [1, 2, 3]);
});

t.test('a reset rejects what is in flight, and the next request connects anew', async (t) => {
  const { proxy, a, to } = await throughProxy(t, { delayMs: 200 });
  await a.request(to, ECHO, BODY, OPTIONS);
  const waiting = a.request(to, ECHO, BODY, OPTIONS).catch((error) => error);
  await sleep(50);
  proxy.reset();
  t.match(await waiting, { code: 'ERR_PEER_UNREACHABLE' });
  proxy.rules.delayMs = 0;
  t.same([...(await a.request(to, ECHO, BODY, OPTIONS))], [1, 2, 3]);
});

t.test('what was recorded on the wire and is sent again opens nothing', async (t) => {
  const { proxy, a, to } = await throughProxy(t);
  await a.request(to, ECHO, BODY, OPTIONS);
  const recording = Buffer.concat(proxy.recorded[0]!);
  const { connect } = await import('node:net');
  const socket = connect(proxy.port, '127.0.0.1');
  const ended = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('error', () => {});
  socket.resume();
  socket.write(recording);
  await ended;
  t.same([...(await a.request(to, ECHO, BODY, OPTIONS))], [1, 2, 3]);
});
