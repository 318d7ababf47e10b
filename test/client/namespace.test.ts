import { type BlockNamespace, keyOf, PUT_STATUS, packKeys } from '@refill/interface';
import t, { type Test } from 'tap';
import {
  FINGERPRINT,
  keys,
  payload,
  type ServedDouble,
  serveDouble,
  until,
} from '../fixtures/served-double.ts';

async function open(t: Test, options = {}): Promise<ServedDouble & { kv: BlockNamespace }> {
  const served = await serveDouble(t, options);
  const store = await served.connect();
  return { ...served, kv: await store.namespace(FINGERPRINT) };
}

t.test('a block that was put is read back as a view on the arena', async (t) => {
  const { kv, node } = await open(t);
  const bytes = payload(70_000, 1);
  t.equal(await kv.put({ key: keyOf('a'), tokens: 12 }, bytes), 'stored');
  t.equal(await kv.put({ key: keyOf('a') }, payload(10, 2)), 'exists');
  const view = await kv.get(keyOf('a'));
  t.ok(view);
  t.same(view?.bytes, bytes);
  t.equal(view?.tokens, 12);
  t.equal(view?.bytes.buffer, node.panes[0]?.buffer, 'no copy: the view shares the memory of the arena');
  t.equal(node.held, 1);
  view?.release();
  view?.release();
  await until(() => node.held === 0);
  t.throws(() => view?.bytes, { code: 'ERR_HANDLE_UNKNOWN' });
  t.equal(await kv.get(keyOf('b')), undefined);
});

t.test('many keys are answered in order, misses and duplicates included', async (t) => {
  const { kv, node } = await open(t);
  const [a, b, c] = keys(3) as [Uint8Array, Uint8Array, Uint8Array];
  t.same(
    await kv.putMany([
      { key: a, bytes: payload(100, 1) },
      { key: b, bytes: payload(200, 2), parent: a },
      { key: a, bytes: payload(100, 1) },
    ]),
    ['stored', 'stored', 'exists'],
  );
  const found = await kv.getMany([b, c, a, b]);
  t.equal(found.hits, 3);
  t.same(
    found.views.map((view) => view?.bytes.length),
    [200, undefined, 100, 200],
  );
  t.equal(found.missReason(1), 'miss');
  t.equal(found.missReason(0), undefined);
  t.throws(() => found.missReason(4), RangeError);
  found.views[0]?.release();
  await until(() => node.held === 2);
  found.release();
  await until(() => node.held === 0);
  t.equal((await kv.getMany(packKeys([a, b]))).hits, 2);
  t.equal((await kv.getMany([])).hits, 0);
});

t.test(
  'a shared put of a block that is only in memory waits until it is durable, or says that it is not',
  async (t) => {
    const { kv, node } = await open(t);
    const [a, b] = keys(2) as [Uint8Array, Uint8Array];
    const calls: string[] = [];
    node.before = (call) => {
      calls.push(call);
    };
    await kv.put({ key: a }, payload(100, 1));
    const both = [
      { key: a, bytes: payload(100, 1) },
      { key: b, bytes: payload(100, 2) },
    ];
    t.equal(await kv.put({ key: a }, payload(100, 1), { durability: 'shared' }), 'exists');
    t.notOk(calls.includes('awaitStored'), 'a durable one costs no second exchange');
    node.unstoredBecome = PUT_STATUS.failed;
    t.equal(await kv.put({ key: a }, payload(100, 1)), 'exists', 'memory is content with it');
    t.notOk(calls.includes('awaitStored'));
    t.same(await kv.putMany(both, { durability: 'shared' }), ['failed', 'stored']);
    node.unstoredBecome = PUT_STATUS.exists;
    t.same(await kv.putMany(both, { durability: 'shared' }), ['exists', 'exists']);
  },
);

t.test('lookups answer without reading', async (t) => {
  const { kv } = await open(t);
  const all = keys(5);
  await kv.putMany(all.slice(0, 3).map((key, i) => ({ key, bytes: payload(64, i) })));
  t.equal(await kv.matchPrefix(all), 3);
  t.equal(await kv.matchPrefix([]), 0);
  t.same(await kv.exists(all), [true, true, true, false, false]);
  t.same(await kv.exists([]), []);
  t.equal(await kv.prefetch(all), 0);
  t.equal(await kv.pin(all), 3);
  t.equal(await kv.unpin(all), 3);
  await kv.touch(all);
  t.equal(await kv.delete(all), 3);
  t.equal(await kv.matchPrefix(all), 0);
});

t.test('a full call of 16,384 keys is answered, one more is refused', async (t) => {
  const { kv } = await open(t);
  const all = keys(16_384);
  await kv.put({ key: all[16_383]! }, payload(64, 1));
  const present = await kv.exists(all);
  t.equal(present.indexOf(true), 16_383);
  using views = await kv.getMany(all);
  t.equal(views.hits, 1);
  await t.rejects(kv.getMany([...all, all[0]!]), { name: 'RangeError', message: /keys has 16385 entries/ });
  await t.rejects(kv.matchPrefix(new Uint8Array(33)), { name: 'TypeError', message: /packed/ });
});

t.test('a reservation is written in place, then committed or given back', async (t) => {
  const { kv, node } = await open(t);
  const [a, b] = keys(2) as [Uint8Array, Uint8Array];
  const reservation = await kv.reserve({ key: a }, 1000);
  t.equal(node.held, 1);
  t.equal(await kv.get(a), undefined, 'nothing is visible before the commit');
  reservation?.bytes.set(payload(1000, 3));
  t.equal(await reservation?.commit({ durability: 'shared' }), 'stored');
  t.throws(() => reservation?.bytes, { code: 'ERR_HANDLE_UNKNOWN' });
  await t.rejects(reservation!.commit(), { code: 'ERR_HANDLE_UNKNOWN' });
  t.equal(await kv.reserve({ key: a }, 1000), undefined);
  {
    using left = await kv.reserve({ key: b }, 1000);
    t.ok(left);
  }
  await until(() => node.held === 0);
  t.equal(await kv.get(b), undefined);
  using view = await kv.get(a);
  t.same(view?.bytes, payload(1000, 3));
});

t.test('a full arena says so, and gives back what was reserved beside', async (t) => {
  const { kv, node } = await open(t, { arenaBytes: 64 * 1024, paneBytes: 64 * 1024 });
  const [a, b] = keys(2) as [Uint8Array, Uint8Array];
  const wanted = [
    { key: a, lengthBytes: 40_000 },
    { key: b, lengthBytes: 40_000 },
  ];
  await t.rejects(kv.reserveMany(wanted), { code: 'ERR_ARENA_FULL' });
  await until(() => node.held === 0);
  t.same(await kv.putMany([{ key: b, bytes: payload(40_000, 1) }]), ['noRoom']);
});

t.test('more bytes than one piece are put in pieces', async (t) => {
  const { kv, node } = await open(t, { arenaBytes: 16 * 1024 * 1024 });
  const all = keys(100);
  const blocks = all.map((key, i) => ({ key, bytes: payload(100_000, i) }));
  const outcomes = await kv.putMany(blocks);
  t.same(new Set(outcomes), new Set(['stored']));
  using views = await kv.getMany(all);
  for (const [i, view] of views.views.entries()) {
    if (!Buffer.from(view!.bytes).equals(blocks[i]!.bytes)) t.fail(`block ${i} differs`);
  }
  t.equal(node.held, 100);
});

t.test('wrong arguments are refused by name before anything is sent', async (t) => {
  const { kv, node } = await open(t);
  const key = keyOf('a');
  const short = new Uint8Array(5);
  await t.rejects(kv.put({ key: short }, payload(1, 1)), { message: /blocks\[0\]\.key must be 32 bytes/ });
  await t.rejects(kv.put({ key }, new Uint8Array(0)), {
    name: 'RangeError',
    message: /blocks\[0\]\.bytes\.length must be .* from 1 to 268435456, got 0; .* leave empty ones out/,
  });
  // Longer than any block, without the memory for it.
  const long = Object.defineProperty(payload(1, 1), 'length', { value: 2 ** 28 + 1 });
  await t.rejects(kv.put({ key }, long), {
    name: 'RangeError',
    message: /bytes\.length must be .* got 268435457; split larger blocks/,
  });
  const region = {} as never;
  const wrongLists: [call: Promise<unknown>, message: RegExp][] = [
    [kv.putMany(null as never), /blocks must be a list of \{key, bytes\}, got null/],
    [kv.putMany({ key, bytes: short } as never), /blocks must be a list .* a single block goes to put\(\)/],
    [kv.putMany([undefined as never]), /blocks\[0\] must be an object \{key, bytes, ...\}, got undefined/],
    [kv.reserveMany(7 as never), /blocks must be a list, got 7/],
    [kv.putFrom(region, 'x' as never), /blocks must be a list, got x/],
    [kv.getInto(region, [key], undefined as never), /places must be a list, got undefined/],
  ];
  for (const [call, message] of wrongLists) await t.rejects(call, { name: 'TypeError', message });
  await t.rejects(kv.put({ key }, 'text' as unknown as Uint8Array), {
    message: /blocks\[0\]\.bytes must be/,
  });
  await t.rejects(kv.put({ key, tokens: -1 }, payload(1, 1)), { message: /tokens must be a whole number/ });
  await t.rejects(kv.put({ key, parent: short }, payload(1, 1)), { message: /parent must be 32 bytes/ });
  await t.rejects(kv.put({ key }, payload(1, 1), { durability: 'x' as 'memory' }), { message: /durability/ });
  await t.rejects(kv.put({ key }, payload(1, 1), { deadlineMs: 0 }), { message: /deadlineMs must be/ });
  await t.rejects(kv.get('a' as unknown as Uint8Array), { message: /keys\[0\] must be a Uint8Array/ });
  await t.rejects(kv.getMany(5 as unknown as Uint8Array), { message: /keys must be a list/ });
  await t.rejects(kv.reserve({ key }, 2 ** 30), { name: 'RangeError' });
  t.equal(node.blocks.size, 0);
  t.equal(node.held, 0);
});
