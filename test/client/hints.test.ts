import { type BlockNamespace, keyOf, type PutOptions } from '@refill/interface';
import t, { type Test } from 'tap';
import {
  FINGERPRINT,
  keys,
  payload,
  type ServedDouble,
  serveDouble,
  until,
} from '../fixtures/served-double.ts';

async function open(t: Test): Promise<ServedDouble & { kv: BlockNamespace }> {
  const served = await serveDouble(t);
  const store = await served.connect();
  return { ...served, kv: await store.namespace(FINGERPRINT) };
}

/** Keys pinned by sessions. */
const keptOf = ({ node }: ServedDouble): number =>
  [...node.sessions].reduce((sum, { kept }) => sum + kept.size, 0);

const HINTS: PutOptions = { ttlMs: 5000, tier: 'shared', replicas: 2, node: 'b' };

t.test('hints reach the node with a put of any kind, and are not there without', async (t) => {
  const served = await open(t);
  const { kv, node } = served;
  const [a, b, c, d] = keys(4) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  await kv.put({ key: a }, payload(100, 1), HINTS);
  await kv.putMany([{ key: b, bytes: payload(100, 2) }], { ...HINTS, durability: 'shared' });
  const reservation = await kv.reserve({ key: c }, 100);
  reservation!.bytes.set(payload(100, 3));
  await reservation!.commit(HINTS);
  await kv.put({ key: d }, payload(100, 4));
  const { ttlMs, tier, replicas, node: name } = HINTS;
  const hints = { ttlMs, tier, replicas, node: name };
  t.same(node.hints, [hints, hints, hints, undefined]);
  using view = await kv.get(b);
  t.same(view?.bytes, payload(100, 2), 'the rows behind the hints were read');
});

t.test('hints of a put from a region', async (t) => {
  const served = await serveDouble(t);
  const store = await served.connect();
  const kv = await store.namespace(FINGERPRINT);
  served.node.regionMemory.set('/r', payload(8192, 5));
  await using region = await store.registerRegion({ path: '/r' }, 8192);
  const blocks = [{ key: keyOf('r'), offsetBytes: 4096, lengthBytes: 100 }];
  t.same(await kv.putFrom(region, blocks, { ...HINTS, pin: true }), ['stored']);
  t.match(served.node.hints, [{ ...HINTS, pin: true }]);
  using view = await kv.get(keyOf('r'));
  t.same(view?.bytes, payload(8192, 5).subarray(4096, 4196));
  t.equal(keptOf(served), 1);
});

t.test('pin keeps what was put and what was there', async (t) => {
  const served = await open(t);
  const { kv } = served;
  const [a, b] = keys(2) as [Uint8Array, Uint8Array];
  await kv.put({ key: a }, payload(100, 1));
  const blocks = [a, b].map((key) => ({ key, bytes: payload(100, 2) }));
  t.same(await kv.putMany(blocks, { pin: true }), ['exists', 'stored']);
  t.equal(keptOf(served), 2);
  t.equal(await kv.unpin([a, b]), 2);
});

t.test('a put that was given up leaves no pin', async (t) => {
  const served = await open(t);
  const { kv, node } = served;
  let go = (): void => {};
  let isWaiting = false;
  node.before = (call) => {
    if (call !== 'commit') return undefined;
    isWaiting = true;
    return new Promise((resolve) => {
      go = resolve;
    });
  };
  const controller = new AbortController();
  const putting = kv.put({ key: keyOf('a') }, payload(100, 1), { pin: true, signal: controller.signal });
  await until(() => isWaiting);
  controller.abort();
  await t.rejects(putting, { code: 'ERR_ABORTED' });
  await until(() => served.server.counters.cancelled === 1);
  go();
  await until(() => node.blocks.size === 1);
  await until(() => keptOf(served) === 0);
  t.equal(keptOf(served), 0);
});

t.test('hints that mean nothing are refused before anything is sent', async (t) => {
  const { kv, node } = await open(t);
  const block = { key: keyOf('a') };
  const refused = (options: object, message: RegExp) =>
    t.rejects(kv.put(block, payload(10, 1), options as PutOptions), { message });
  await refused({ ttlMs: -1 }, /ttlMs must be a whole number from 1/);
  await refused({ replicas: 0 }, /replicas must be a whole number from 1 to 16/);
  await refused({ tier: 'dram', durability: 'shared' }, /give one of them/);
  const reservation = await kv.reserve(block, 10);
  await t.rejects(reservation!.commit({ ttlMs: 0 }), { message: /ttlMs/ });
  t.equal(await reservation!.commit(), 'stored', 'the reservation is still there');
  t.equal(node.hints.length, 1);
});

t.test('drain says what it is asked for, and hands on the answer', async (t) => {
  const served = await serveDouble(t);
  const store = await served.connect();
  t.match(await store.drain({ hotBytes: 5 * 2 ** 32, deadlineMs: 9000, stay: true }), { isComplete: true });
  await store.drain();
  t.match(served.node.drains, [
    { hotBytes: 5 * 2 ** 32, deadlineMs: 9000, stay: true },
    { hotBytes: 2 ** 30, deadlineMs: 5000, stay: false },
  ]);
  await t.rejects(store.drain({ hotBytes: -1 }), { message: /hotBytes must be a whole number from 0/ });
});
