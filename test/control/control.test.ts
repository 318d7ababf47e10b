import { createControl, createIdentity } from '@refill/control';
import t from 'tap';
import { systemChance, systemClock } from '../../packages/cli/src/system-clock.ts';
import { ADMISSION_MS } from '../../packages/control/src/bounds.ts';
import { controlCompliance } from '../compliance/control-network.ts';
import { CLUSTER, control, controls, ECHO, echoing, portOf, SECRET } from '../fixtures/control-members.ts';

const OPTIONS = { deadlineMs: 10_000 };
const BODY = Uint8Array.of(1, 2, 3);

t.test('control on libp2p keeps the contract', async (t) => {
  controlCompliance(t, (_, count) => controls(count));
});

t.test('another secret is refused by both sides, and counted', async (t) => {
  const b = await echoing(t);
  const a = await echoing(t, { secret: new Uint8Array(32).fill(8) });
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await t.rejects(one.request(other.self, ECHO, BODY, OPTIONS), {
      code: 'ERR_UNAUTHORIZED',
      message: /does not know the secret of cluster-of-tests/,
    });
  }
  t.ok(a.counters.refused >= 1 && b.counters.refused >= 1);
});

t.test('another cluster is refused by name', async (t) => {
  const b = await echoing(t);
  const a = await echoing(t, { cluster: 'elsewhere' });
  await t.rejects(a.request(b.self, ECHO, BODY, OPTIONS), {
    code: 'ERR_NOT_A_ROOT',
    message: /cluster elsewhere, not to cluster-of-tests/,
  });
});

t.test(
  'who is not on the list is refused, in either direction; the listed may join without a secret',
  async (t) => {
    const [one, two, three] = await Promise.all([createIdentity(), createIdentity(), createIdentity()]);
    const allow = [one.peer, two.peer];
    const a = await echoing(t, { secret: undefined, allow }, one);
    const b = await echoing(t, { secret: undefined, allow }, two);
    const c = await echoing(t, { secret: undefined, allow: [...allow, three.peer] }, three);
    t.same([...(await a.request(b.self, ECHO, BODY, OPTIONS))], [1, 2, 3]);
    for (const [from, to] of [
      [c, a],
      [a, c],
    ] as const) {
      await t.rejects(from.request(to.self, ECHO, BODY, OPTIONS), {
        code: 'ERR_UNAUTHORIZED',
        message: /not on the list/,
      });
    }
  },
);

t.test('credentials that admit everybody are no credentials', async (t) => {
  const parts = { identity: await createIdentity(), clock: systemClock, chance: systemChance };
  t.throws(() => createControl(parts, { cluster: CLUSTER }), { name: 'TypeError', message: /give one/ });
  t.throws(() => createControl(parts, { cluster: CLUSTER, secret: new Uint8Array(15) }), {
    name: 'RangeError',
    message: /secret is 15 bytes/,
  });
  t.throws(() => createControl(parts, { cluster: '', secret: SECRET }), RangeError);
});

t.test('an admitted connection stays, and is one for all requests', async (t) => {
  const b = await echoing(t);
  const a = await echoing(t);
  const answers = Array.from({ length: 50 }, () => a.request(b.self, ECHO, BODY, OPTIONS));
  await Promise.all(answers);
  await new Promise((resolve) => setTimeout(resolve, ADMISSION_MS + 300));
  // No address: only the connection that is there can carry it, in both directions.
  t.same([...(await a.request({ ...b.self, addresses: [] }, ECHO, BODY, OPTIONS))], [1, 2, 3]);
  t.same([...(await b.request({ ...a.self, addresses: [] }, ECHO, BODY, OPTIONS))], [1, 2, 3]);
  t.equal(b.counters.refused, 0);
});

t.test('a member that comes back at its address is found by those who ask again', async (t) => {
  const identity = await createIdentity();
  const first = await echoing(t, {}, identity);
  const { self } = first;
  const listen = [`/ip4/127.0.0.1/tcp/${portOf(first)}`];
  const a = await echoing(t);
  await a.request(self, ECHO, BODY, OPTIONS);
  await first.stop();
  await t.rejects(a.request(self, ECHO, BODY, OPTIONS), { code: 'ERR_PEER_UNREACHABLE' });
  await echoing(t, { listen }, identity);
  t.same([...(await a.request(self, ECHO, BODY, OPTIONS))], [1, 2, 3]);
});

t.test(
  'addresses are tried in order: dead ones, malformed ones and those of others are passed over',
  async (t) => {
    const b = await echoing(t);
    const other = await echoing(t);
    const a = await echoing(t);
    const addresses = ['/ip4/127.0.0.1/tcp/1', 'nonsense', ...other.self.addresses, ...b.self.addresses];
    t.same([...(await a.request({ ...b.self, addresses }, ECHO, BODY, OPTIONS))], [1, 2, 3]);
  },
);

t.test('attempts back off: between them a dead peer costs nothing', async (t) => {
  const a = await echoing(t);
  const { peer } = await createIdentity();
  const dead = { peer, addresses: ['/ip4/127.0.0.1/tcp/1'] };
  for (let i = 0; i < 40; i++) {
    await t.rejects(a.request(dead, ECHO, BODY, OPTIONS), { code: 'ERR_PEER_UNREACHABLE' });
  }
  await t.rejects(a.request({ peer: 'nobody', addresses: [] }, ECHO, BODY, OPTIONS));
});

t.test('more than the bounds of one peer is refused at once, and the rest is answered', async (t) => {
  let release: () => void = () => {};
  const b = await control();
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  b.handle(ECHO, async (_, body) => {
    await gate;
    return body.subarray(0, 1);
  });
  await b.start();
  t.teardown(() => b.stop());
  const a = await echoing(t);
  const small = Array.from({ length: 1100 }, () => a.request(b.self, ECHO, BODY, OPTIONS));
  const outcomes = Promise.allSettled(small);
  await t.rejects(small[1050]!, { code: 'ERR_LIMIT' });
  release();
  const limited = (await outcomes).filter(({ status }) => status === 'rejected');
  t.equal(limited.length, 1100 - 1024);
  const large = new Uint8Array(2 * 1024 * 1024);
  const many = await Promise.allSettled(
    Array.from({ length: 9 }, () => a.request(b.self, ECHO, large, OPTIONS)),
  );
  t.equal(many.filter(({ status }) => status === 'fulfilled').length, 8);
});

t.test('announced addresses replace those listened on', async (t) => {
  const announce = ['/ip4/192.0.2.1/tcp/7000', '/dns4/node/tcp/7000'];
  const a = await echoing(t, { announce });
  t.same(a.self.addresses, announce);
  const b = await echoing(t);
  t.match(b.self.addresses, [/^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/]);
});
