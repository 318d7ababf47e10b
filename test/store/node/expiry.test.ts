import { KEY_WORDS, PUT_STATUS, ROW_STATUS } from '@refill/interface';
import t from 'tap';
import { Expiry } from '../../../packages/store/src/node/expiry.ts';
import { ManualClock } from '../../fixtures/manual-clock.ts';
import {
  createWorld,
  get,
  keysOf,
  openSession,
  payload,
  put,
  UNIT,
  type World,
} from '../../fixtures/node-world.ts';
import { mulberry } from '../../fixtures/seeded-random.ts';

type Opened = Awaited<ReturnType<typeof openSession>> & { world: World };

async function opened(): Promise<Opened> {
  const world = await createWorld({ reserveWaitMs: 500 });
  return { world, ...(await openSession(world)) };
}

async function putFor({ world, session, namespace }: Opened, key: number, ttlMs?: number): Promise<number> {
  const hints = ttlMs === undefined ? undefined : { ttlMs };
  return put(world, session, namespace, key, payload(key, UNIT), 'shared', 1000, hints);
}

async function isHit({ world, session, namespace }: Opened, key: number): Promise<boolean> {
  const reading = get(world, session, namespace, [key]);
  await world.clock.advance(0);
  const [row] = await reading;
  if (row!.status === ROW_STATUS.hit) session.release(Uint32Array.of(row!.slot), 1);
  return row!.status === ROW_STATUS.hit;
}

t.test('a block whose life has ended is a miss at once and then deleted everywhere', async (t) => {
  const at = await opened();
  await putFor(at, 1, 1000);
  await putFor(at, 2);
  await at.world.clock.advance(999);
  t.ok(await isHit(at, 1));
  await at.world.clock.advance(1);
  t.notOk(await isHit(at, 1), 'although its deletion is not durable yet');
  t.equal(at.world.shared.blocks.size, 2);
  const present = new Uint8Array(2);
  await at.session.exists(at.namespace, keysOf(1, 2), 2, present);
  t.same([...present], [0, 1]);
  t.equal(await at.session.matchPrefix(at.namespace, keysOf(2, 1), 2), 1);
  await at.world.clock.advance(200);
  t.equal(at.world.shared.blocks.size, 1);
  t.notOk(await isHit(at, 1));
  t.ok(await isHit(at, 2));
  t.match(at.world.node.status().hints, { withLife: 0, expired: 1, livesRefused: 0 });
});

t.test('a block evicted from DRAM ends with its life too', async (t) => {
  const at = await opened();
  await putFor(at, 1, 5000);
  for (let key = 2; key < 100; key++) await putFor(at, key);
  await at.world.clock.advance(5200);
  t.notOk(await isHit(at, 1));
  t.equal(at.world.shared.blocks.size, 98);
});

t.test('a put of the key after its life waits for the deletion, and is the first', async (t) => {
  const at = await opened();
  await putFor(at, 1, 100);
  await at.world.clock.advance(100);
  const again = putFor(at, 1);
  await at.world.clock.advance(200);
  t.equal(await again, PUT_STATUS.stored);
  await at.world.clock.advance(10_000);
  t.ok(await isHit(at, 1), 'without a life this time');
});

t.test('a deletion, and another put, end the life of a key', async (t) => {
  const at = await opened();
  await putFor(at, 1, 1000);
  await at.session.delete(at.namespace, keysOf(1), 1, 1000);
  await putFor(at, 1);
  await at.world.clock.advance(5000);
  t.ok(await isHit(at, 1));
  t.equal(at.world.node.status().hints.expired, 0);
});

t.test('what another node put under the key is not deleted', async (t) => {
  const at = await opened();
  await putFor(at, 1, 1000);
  at.world.shared.owner = 'b';
  await at.world.clock.advance(1200);
  t.equal(at.world.shared.blocks.size, 1);
  t.ok(await isHit(at, 1), 'it is read from where it is');
});

t.test('a deletion that fails is tried again, the block staying hidden', async (t) => {
  const at = await opened();
  await putFor(at, 1, 100);
  const { remove } = at.world.shared;
  let tries = 0;
  at.world.shared.remove = async (...args) => {
    if (tries++ < 2) throw new Error('away');
    return remove.apply(at.world.shared, args);
  };
  await at.world.clock.advance(300);
  t.equal(tries, 1);
  t.notOk(await isHit(at, 1));
  await at.world.clock.advance(2100);
  t.equal(tries, 2);
  t.notOk(await isHit(at, 1));
  await at.world.clock.advance(4100);
  t.equal(at.world.shared.blocks.size, 0);
  t.match(at.world.logged[0], /whose life has ended were not deleted/);
  await at.world.node.stop();
});

t.test('lives end in the order of their times, whatever the order in which they began', async (t) => {
  const clock = new ManualClock();
  const ended: { key: number; atMs: number }[] = [];
  const drop = (_namespace: number, keys: Uint32Array): void =>
    void ended.push({ key: keys[0]!, atMs: clock.nowMs() });
  const log = { error: () => undefined };
  const expiry = new Expiry({ clock, seed: 1, log, drop, bury: async () => undefined });
  const random = mulberry(3);
  const lives = new Map<number, number>();
  for (let i = 0; i < 500; i++) {
    const key = new Uint32Array(KEY_WORDS).fill(1 + Math.floor(random() * 200));
    const ttlMs = 1 + Math.floor(random() * 1000);
    if (random() < 0.2) {
      expiry.forget(0, key, 0);
      lives.delete(key[0]!);
    } else {
      t.ok(expiry.set(0, key, 0, ttlMs));
      lives.set(key[0]!, ttlMs);
    }
  }
  t.equal(expiry.size, lives.size);
  await clock.advance(2000);
  t.equal(ended.length, lives.size);
  for (const { key, atMs } of ended) t.equal(atMs, lives.get(key));
  t.equal(expiry.size, 0);
  expiry.stop();
});
