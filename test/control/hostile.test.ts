import { connect, type Socket } from 'node:net';
import { type ErrorCode, errorCodeOf } from '@refill/interface';
import t from 'tap';
import { FRAME_KIND, type Frame, frameOf } from '../../packages/control/src/frame.ts';
import { ECHO, echoing, portOf } from '../fixtures/control-members.ts';
import { Stranger } from '../fixtures/control-stranger.ts';

const OPTIONS = { deadlineMs: 10_000 };
const BODY = Uint8Array.of(1, 2, 3);

function refusal(frame: Frame | undefined): ErrorCode | undefined {
  return frame?.kind === FRAME_KIND.refused ? errorCodeOf(frame.argument) : undefined;
}

t.test('an unknown version is refused, with the versions that are spoken', async (t) => {
  const b = await echoing(t);
  const stranger = await Stranger.meet(t, b.self);
  stranger.hello({ versionMin: 7, versionMax: 9 });
  const frame = await stranger.next();
  t.equal(refusal(frame), 'ERR_VERSION');
  t.match(new TextDecoder().decode(frame!.body), /versions 7 to 9, this side 1 to 1/);
  t.equal(await stranger.next(), undefined, 'the stream ends');
});

t.test('a proof that was heard before admits nobody: neither again, nor under another key', async (t) => {
  const b = await echoing(t);
  const member = await Stranger.meet(t, b.self);
  member.hello();
  const proof = member.prove((await member.next())!, b.self);
  t.equal((await member.next())?.kind, FRAME_KIND.admitted);
  for (const replayer of [member, await Stranger.meet(t, b.self)]) {
    await replayer.dial(b.self);
    replayer.hello();
    await replayer.next();
    replayer.stream.send(frameOf(FRAME_KIND.proof, { body: proof }));
    t.equal(refusal(await replayer.next()), 'ERR_UNAUTHORIZED');
  }
});

t.test('what is no admission is refused: garbage, frames out of turn, oversize ones', async (t) => {
  const b = await echoing(t);
  const attacks: ((stranger: Stranger) => void)[] = [
    ({ raw }) => raw.send(new Uint8Array(64).fill(0xff)),
    ({ raw }) => raw.send(new TextEncoder().encode('GET / HTTP/1.1\r\nHost: refill\r\n\r\n')),
    ({ stream }) => stream.send(frameOf(FRAME_KIND.request, { id: 1, name: ECHO, body: BODY })),
    ({ stream }) => stream.send(frameOf(FRAME_KIND.hello, { body: new Uint8Array(3) })),
    ({ stream }) => stream.send(frameOf(FRAME_KIND.hello, { body: new Uint8Array(2000) })),
    (stranger) => stranger.hello({ cluster: 'x'.repeat(200) }),
  ];
  for (const [index, attack] of attacks.entries()) {
    const before = b.counters.refused;
    const stranger = await Stranger.meet(t, b.self);
    attack(stranger);
    const frame = await stranger.next();
    t.ok(frame === undefined || refusal(frame) === 'ERR_PROTOCOL', `attack ${index}`);
    while (!stranger.hasEnded) await stranger.next();
    while (b.counters.refused === before) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const a = await echoing(t);
  t.same([...(await a.request(b.self, ECHO, BODY, OPTIONS))], [1, 2, 3]);
});

t.test('a member that speaks nonsense loses its connection; half a frame costs nothing', async (t) => {
  const b = await echoing(t);
  const attacks: ((stranger: Stranger) => void)[] = [
    ({ raw }) => raw.send(new Uint8Array(64).fill(0xff)),
    ({ stream }) => stream.send(frameOf(FRAME_KIND.answer, { id: 1 })),
    ({ stream }) => stream.send(frameOf(FRAME_KIND.hello)),
    ({ raw }) => raw.send(Uint8Array.of(0, 0, 64, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)),
  ];
  for (const attack of attacks) {
    const member = await Stranger.meet(t, b.self);
    await member.join(b.self);
    const before = b.counters.refused;
    attack(member);
    while (!member.hasEnded) await member.next();
    t.ok(b.counters.refused > before);
  }
  const member = await Stranger.meet(t, b.self);
  await member.join(b.self);
  member.raw.send(Uint8Array.of(0, 0, 32, 0, 1, 0, 0, 0, 1));
  await member.node.stop();
  const a = await echoing(t);
  t.same([...(await a.request(b.self, ECHO, BODY, OPTIONS))], [1, 2, 3]);
});

t.test('a flood of connections takes neither memory nor the service of members', async (t) => {
  const b = await echoing(t);
  const a = await echoing(t);
  await a.request(b.self, ECHO, BODY, OPTIONS);
  const sockets = new Set<Socket>();
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  const before = process.memoryUsage().rss;
  const junk = Buffer.alloc(32, 0x13);
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 50; i++) {
      const socket = connect({ port: portOf(b), host: '127.0.0.1', localAddress: '127.0.0.2' });
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
      if (i % 2 === 0) socket.on('connect', () => socket.write(junk));
      sockets.add(socket);
    }
    t.same([...(await a.request(b.self, ECHO, BODY, OPTIONS))], [1, 2, 3]);
  }
  // Somebody new gets in from another host while the flood holds all that one host may hold.
  const newcomer = await echoing(t);
  let answer: Uint8Array | undefined;
  while (answer === undefined) {
    answer = await newcomer.request(b.self, ECHO, BODY, OPTIONS).catch(() => undefined);
  }
  t.same([...answer], [1, 2, 3]);
  for (let i = 0; i < 100 && b.counters.refused < 1000; i++)
    await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(b.counters.refused, 1000, 'every connection of the flood was turned away, and counted');
  t.ok(process.memoryUsage().rss - before < 200 * 1024 * 1024);
});

t.test('a member that floods and reads no answer slows only itself', async (t) => {
  const b = await echoing(t);
  const flooder = await Stranger.meet(t, b.self);
  await flooder.join(b.self);
  const body = new Uint8Array(256 * 1024);
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 600; i++) {
    flooder.stream.send(frameOf(FRAME_KIND.request, { id: i, argument: 60_000, name: ECHO, body }));
  }
  flooder.stream.pause();
  const a = await echoing(t);
  for (let i = 0; i < 50; i++) t.same([...(await a.request(b.self, ECHO, BODY, OPTIONS))], [1, 2, 3]);
  t.ok(b.counters.answers < 600, 'it was not all read');
  // The flooder's own 150 MiB of copies lie in this process too.
  t.ok(process.memoryUsage().rss - before < 400 * 1024 * 1024);
});
