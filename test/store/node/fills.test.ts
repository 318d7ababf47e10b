import { FILLS_PER_NODE_MAX } from '@refill/interface';
import t from 'tap';
import { Fills, type FillWaiter } from '../../../packages/store/src/node/fills.ts';
import { ManualClock } from '../../fixtures/manual-clock.ts';
import { keysOf } from '../../fixtures/node-world.ts';
import { mulberry } from '../../fixtures/seeded-random.ts';

const seed = Number(process.env.REFILL_SEED ?? 7);

function waiterOf(): FillWaiter & { calls: number } {
  const waiter = {
    remaining: 0,
    calls: 0,
    done: () => {
      waiter.calls++;
    },
  };
  return waiter;
}

t.test('a key has one holder until its life ends, its holder lets go or its block arrives', async (t) => {
  const clock = new ManualClock();
  const fills = new Fills(clock, 1);
  const keys = keysOf(1, 2, 3);
  t.equal(fills.take(1, keys, 0, 5, 100), 0);
  t.equal(fills.take(1, keys, 0, 5, 100), 0, 'its own once more');
  t.equal(fills.take(1, keys, 0, 6, 100), 100);
  t.equal(fills.take(2, keys, 0, 6, 100), 0, 'another namespace is another key');
  await clock.advance(99.5);
  t.equal(fills.take(1, keys, 0, 6, 100), 1, 'never 0 while it is held');
  await clock.advance(0.5);
  t.equal(fills.take(1, keys, 0, 6, 100), 0, 'its life is over');
  fills.release(6);
  t.equal(fills.take(1, keys, 0, 7, 100), 0, 'its holder let go');
  fills.arrived(1, keys, 0);
  t.equal(fills.endsAtMs(1, keys, 0), 0, 'it is there');
  t.equal(fills.size, 0);
  t.ok(fills.isIdle);
});

t.test('whoever waits is told once, when the last of the keys was ended', async (t) => {
  const fills = new Fills(new ManualClock(), 1);
  const keys = keysOf(1, 2, 3);
  fills.take(1, keys, 0, 5, 100);
  fills.take(1, keys, 8, 6, 100);
  const waiter = waiterOf();
  for (const at of [0, 8, 16, 16]) fills.watch(1, keys, at, waiter);
  t.equal(waiter.remaining, 3);
  fills.arrived(1, keys, 16);
  fills.release(5);
  t.equal(waiter.calls, 0);
  fills.arrived(1, keys, 8);
  t.equal(waiter.calls, 1);
  const another = waiterOf();
  fills.watch(1, keys, 0, another);
  t.notOk(fills.isIdle, 'a key that nobody holds is watched for its block');
  fills.forget(1, keys, 0, another);
  t.ok(fills.isIdle, 'nothing is left of it');
  t.equal(another.calls, 0, 'who waits no more is not called');
});

t.test('a node holds no more leases than its bound; those that have ended make room', async (t) => {
  const clock = new ManualClock();
  const fills = new Fills(clock, 1);
  const key = new Uint32Array(8);
  const take = (n: number): number => {
    key[0] = n;
    return fills.take(1, key, 0, 1, 50);
  };
  for (let n = 0; n < FILLS_PER_NODE_MAX; n++) take(n);
  t.throws(() => take(FILLS_PER_NODE_MAX), { code: 'ERR_LIMIT' });
  await clock.advance(50);
  t.equal(take(FILLS_PER_NODE_MAX), 0);
  t.equal(fills.size, 1);
});

t.test(`any order of calls leaves one holder a key and none that let go (seed ${seed})`, async (t) => {
  const random = mulberry(seed);
  const clock = new ManualClock();
  const fills = new Fills(clock, 3);
  const keys = keysOf(0, 1, 2, 3, 4, 5);
  const model = new Map<number, { holder: number; endsAtMs: number }>();
  for (let step = 0; step < 20_000; step++) {
    const k = Math.floor(random() * 6);
    const holder = 1 + Math.floor(random() * 4);
    const nowMs = clock.nowMs();
    const held = model.get(k);
    const isLive = held !== undefined && held.endsAtMs > nowMs;
    const way = random();
    if (way < 0.6) {
      const free = fills.take(1, keys, 8 * k, holder, 20) === 0;
      if (free !== (!isLive || held.holder === holder)) t.fail(`step ${step}: take of ${k} by ${holder}`);
      if (!isLive) model.set(k, { holder, endsAtMs: nowMs + 20 });
    } else if (way < 0.75) {
      fills.arrived(1, keys, 8 * k);
      model.delete(k);
    } else if (way < 0.85) {
      fills.release(holder);
      for (const [key, fill] of model) if (fill.holder === holder) model.delete(key);
    } else await clock.advance(random() * 8);
  }
  let live = 0;
  for (const [k, { holder, endsAtMs }] of model) {
    const isLive = endsAtMs > clock.nowMs();
    t.equal(fills.isHolder(1, keys, 8 * k, holder), isLive);
    if (isLive) live++;
  }
  t.equal(fills.size, live);
});
