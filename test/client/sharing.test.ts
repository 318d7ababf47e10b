import {
  type BlockLookup,
  type BlockNamespace,
  type BlockStore,
  type BlockTier,
  KEYS_PER_CALL_MAX,
  packKeys,
} from '@refill/interface';
import t, { type Test } from 'tap';
import { adviseRead } from '../../packages/client/src/advice.ts';
import {
  FINGERPRINT,
  keys,
  payload,
  type ServedDouble,
  serveDouble,
  until,
} from '../fixtures/served-double.ts';

async function open(t: Test): Promise<ServedDouble & { store: BlockStore; kv: BlockNamespace }> {
  const served = await serveDouble(t);
  const store = await served.connect();
  return { ...served, store, kv: await store.namespace(FINGERPRINT) };
}

/** What a lookup would say of blocks of 16 tokens. */
function blocksOf(tiers: BlockTier[], readyMs: number[]): BlockLookup[] {
  return tiers.map((tier, i) => ({
    tier,
    lengthBytes: tier === 'miss' ? 0 : 1000,
    tokens: tier === 'miss' ? 0 : 16,
    readyMs: readyMs[i]!,
  }));
}

t.test('a lookup is one entry a key', async (t) => {
  const { kv, node } = await open(t);
  const [a, b, c] = keys(3) as [Uint8Array, Uint8Array, Uint8Array];
  await kv.put({ key: a, tokens: 7 }, payload(100, 1));
  await kv.put({ key: b }, payload(200, 1));
  for (const name of [...node.blocks.keys()].slice(0, 1)) node.inDram.add(name);
  const expected = [
    { tier: 'dram', lengthBytes: 100, tokens: 7, readyMs: 0 },
    { tier: 'shared', lengthBytes: 200, tokens: 16, readyMs: 1 },
    { tier: 'miss', lengthBytes: 0, tokens: 0, readyMs: 1 },
  ];
  t.same(await kv.lookup([a, b, c]), expected);
  t.same(await kv.lookup(packKeys([a, b, c])), expected);
  t.same(await kv.lookup([]), []);
  t.equal(node.held, 0);
});

t.test('advice takes the split that costs least, loading and computing one after the other', async (t) => {
  const all: BlockTier[] = ['shared', 'shared', 'shared', 'shared'];
  const ready = [10, 11, 12, 13];
  // 16 tokens a millisecond: 4 ms for all of it, less than the first byte takes.
  t.same(adviseRead(blocksOf(all, ready), 16, 16_000), {
    action: 'compute',
    blocks: 0,
    prefixBlocks: 4,
    loadMs: 0,
    computeMs: 4,
  });
  // 10 ms a block: each costs 1 ms to load once it flows.
  t.match(adviseRead(blocksOf(all, ready), 16, 1_600), {
    action: 'load',
    blocks: 4,
    loadMs: 13,
    computeMs: 0,
  });
  // The last two come from a source that is late.
  t.match(adviseRead(blocksOf(all, [1, 2, 90, 91]), 16, 1_600), {
    action: 'part',
    blocks: 2,
    loadMs: 2,
    computeMs: 20,
  });
  t.match(
    adviseRead(blocksOf(['dram', 'shared', 'miss', 'shared'], [0, 1, 1, 2]), 16, 1_600),
    {
      action: 'load',
      blocks: 2,
      prefixBlocks: 2,
      computeMs: 20,
    },
    'behind a gap nothing is loaded',
  );
  t.match(adviseRead(blocksOf(['miss'], [0]), 16, 1_600), { action: 'compute', blocks: 0, computeMs: 10 });
  t.match(adviseRead(blocksOf(['dram'], [0]), 16, 1e9), { action: 'load', blocks: 1 }, 'DRAM costs nothing');
  t.match(
    adviseRead(blocksOf(['shared'], [10]), 16, 1_600),
    { action: 'load' },
    'of equal sums more is loaded',
  );
  t.match(adviseRead([], 16, 1_600), { action: 'compute', blocks: 0, loadMs: 0, computeMs: 0 });
});

t.test('advice is never worse than any other split', async (t) => {
  for (let seed = 1; seed < 200; seed++) {
    const readyMs: number[] = [];
    for (let i = 0; i < 12; i++) readyMs.push((readyMs[i - 1] ?? 0) + ((seed * 7919 + i * 104_729) % 23));
    const blocks = blocksOf(new Array(12).fill('shared'), readyMs);
    const rate = 500 + ((seed * 31) % 3000);
    const advice = adviseRead(blocks, 16, rate);
    const costs = [0, ...readyMs].map((ms, n) => ms + (((12 - n) * 16) / rate) * 1000);
    const cost = advice.loadMs + advice.computeMs;
    t.ok(Math.abs(cost - Math.min(...costs)) < 1e-9, `seed ${seed}`);
  }
});

t.test('advice asks the node and needs a rate', async (t) => {
  const { kv } = await open(t);
  const list = keys(3);
  await kv.put({ key: list[0]! }, payload(100, 1));
  await kv.put({ key: list[1]! }, payload(100, 1));
  t.same(await kv.advise(list, { prefillTokensPerSecond: 1_600 }), {
    action: 'load',
    blocks: 2,
    prefixBlocks: 2,
    loadMs: 2,
    computeMs: 10,
  });
  for (const rate of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5', undefined]) {
    await t.rejects(kv.advise(list, { prefillTokensPerSecond: rate as number }), RangeError);
  }
});

t.test('locate and explain answer what the node says', async (t) => {
  const { kv } = await open(t);
  const list = keys(3);
  t.equal((await kv.locate(list)).length, 16, 'the default of the node');
  t.same(await kv.locate(list, { limit: 2 }), [
    {
      node: 'node-0',
      prefixBlocks: 3,
      blocks: 3,
      tiers: { dram: 3 },
      addresses: ['/ip4/127.0.0.1/tcp/1000'],
    },
    {
      node: 'node-1',
      prefixBlocks: 2,
      blocks: 2,
      tiers: { dram: 2 },
      addresses: ['/ip4/127.0.0.1/tcp/1001'],
    },
  ]);
  for (const limit of [0, 65, 1.5]) await t.rejects(kv.locate(list, { limit }), RangeError);
  t.match(await kv.explain(list), { keys: 3, misses: 3, plan: [] });
});

t.test('a fill lease lists its keys by index and is given back once', async (t) => {
  const { kv, node } = await open(t);
  const list = keys(3);
  await kv.put({ key: list[1]! }, payload(100, 1));
  const first = await kv.acquireFill(list, { lifeMs: 1500 });
  t.same([first.granted, first.held, first.present], [[0, 2], [], [1]]);
  {
    using second = await kv.acquireFill([list[2]!, keys(1, 9)[0]!], { lifeMs: 2000 });
    t.same([second.granted, second.held], [[1], [{ index: 0, remainingMs: 2000 }]]);
  }
  first.release();
  first.release();
  await until(() => node.fills.size === 0);
  t.equal(await kv.awaitFill(list), 1);
  for (const lifeMs of [0, 120_001, Number.NaN])
    await t.rejects(kv.acquireFill(list, { lifeMs }), RangeError);
});

t.test('a lease that nobody waits for any more is given back when it comes', async (t) => {
  const { kv, node } = await open(t);
  let go = (): void => {};
  const controller = new AbortController();
  node.before = (call) =>
    call === 'acquireFill' ? new Promise<void>((resolve) => (go = resolve)) : undefined;
  const acquired = kv.acquireFill(keys(2), { signal: controller.signal });
  await kv.exists(keys(1));
  controller.abort();
  await t.rejects(acquired, { code: 'ERR_ABORTED' });
  await kv.exists(keys(1));
  go();
  await until(() => [...node.sessions].every(({ fills }) => fills.size === 0) && node.fills.size === 0);
  node.before = () => undefined;
  t.same((await kv.acquireFill(keys(2))).granted, [0, 1]);
});

t.test('a lease ends with its connection', async (t) => {
  const { kv, node, store, connect } = await open(t);
  const lease = await kv.acquireFill(keys(2));
  t.equal(lease.granted.length, 2);
  t.equal(node.fills.size, 2);
  await store.close();
  await until(() => node.fills.size === 0);
  lease.release();
  const other = await (await connect()).namespace(FINGERPRINT);
  t.same((await other.acquireFill(keys(2))).granted, [0, 1]);
});

t.test('too many keys are refused before anything is sent', async (t) => {
  const { kv, server } = await open(t);
  const many = new Uint8Array((KEYS_PER_CALL_MAX + 1) * 32);
  const before = server.counters.frames;
  const calls: (() => Promise<unknown>)[] = [
    () => kv.lookup(many),
    () => kv.locate(many),
    () => kv.explain(many),
    () => kv.acquireFill(many),
    () => kv.awaitFill(many),
  ];
  for (const call of calls) {
    await t.rejects(call(), { message: /at most 16384 go into one call/ });
  }
  t.equal(server.counters.frames, before);
});
