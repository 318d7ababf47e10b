import { LOOKUP_ROW, LOOKUP_ROW_WORDS, LOOKUP_TIER, type NodeSession } from '@refill/interface';
import t from 'tap';
import { settle } from '../../fixtures/manual-clock.ts';
import { createWorld, get, keysOf, openSession, payload, put, UNIT } from '../../fixtures/node-world.ts';

interface Row {
  tier: number;
  lengthBytes: number;
  tokens: number;
  readyUs: number;
}

async function lookup(session: NodeSession, namespace: number, numbers: number[]): Promise<Row[]> {
  const rows = new Uint32Array(numbers.length * LOOKUP_ROW_WORDS).fill(0xdddddddd);
  await session.lookup(namespace, keysOf(...numbers), numbers.length, rows);
  return numbers.map((_, i) => {
    const at = i * LOOKUP_ROW_WORDS;
    return {
      tier: rows[at + LOOKUP_ROW.tier]!,
      lengthBytes: rows[at + LOOKUP_ROW.lengthBytes]!,
      tokens: rows[at + LOOKUP_ROW.tokens]!,
      readyUs: rows[at + LOOKUP_ROW.readyUs]!,
    };
  });
}

/** Stored blocks 1 to `count` of so many units, none of them in DRAM. */
async function coldWorld(count: number, units: number) {
  const world = await createWorld({ paneUnits: [64] });
  const { session, namespace } = await openSession(world);
  for (let key = 1; key <= count; key++)
    await put(world, session, namespace, key, payload(key, units * UNIT), 'shared');
  await put(world, session, namespace, 99, payload(99, 64 * UNIT), 'shared');
  return { world, session, namespace };
}

t.test('a lookup tells tier, length and tokens, and what is nowhere', async (t) => {
  const { world, session, namespace } = await coldWorld(2, 1);
  await put(world, session, namespace, 3, payload(3, 10));
  const [cold, hot, miss] = await lookup(session, namespace, [1, 3, 50]);
  t.match(cold, { tier: LOOKUP_TIER.shared, lengthBytes: UNIT, tokens: 16 });
  t.match(hot, { tier: LOOKUP_TIER.dram, lengthBytes: 10, tokens: 16 });
  t.match(miss, { tier: LOOKUP_TIER.miss, lengthBytes: 0, tokens: 0 });
  t.same(await lookup(session, namespace, []), []);
});

t.test('the estimate grows along the keys; hits in DRAM and misses add nothing', async (t) => {
  const { world, session, namespace } = await coldWorld(8, 4);
  await put(world, session, namespace, 30, payload(30, 10));
  const alone = await lookup(session, namespace, [30, 50]);
  t.same(
    alone.map(({ readyUs }) => readyUs),
    [0, 0],
  );
  const rows = await lookup(session, namespace, [30, 1, 2, 30, 3, 50, 4]);
  const ready = rows.map(({ readyUs }) => readyUs);
  t.equal(ready[0], 0);
  t.ok(ready[1]! > 0 && ready[2]! > ready[1]!, 'a longer prefix takes longer');
  t.equal(ready[3], ready[2]);
  t.ok(ready[4]! > ready[3]!);
  t.equal(ready[5], ready[4]);
  const prefix = await lookup(session, namespace, [30, 1, 2]);
  t.same(
    prefix.map(({ readyUs }) => readyUs),
    ready.slice(0, 3),
    'a prefix has the same figures',
  );
});

t.test('a lookup reads nothing, pins nothing and counts as no use', async (t) => {
  const { world, session, namespace } = await coldWorld(3, 1);
  const before = world.node.status();
  await lookup(session, namespace, [1, 2, 3]);
  await session.explain(namespace, keysOf(1, 2, 3), 3);
  const after = world.node.status();
  t.same(after.reads, before.reads);
  t.same(after.arena, before.arena);
  t.equal(world.shared.loads, 0);
});

t.test(
  'what is queued at a source is in the estimate, a block on its way is not counted twice',
  async (t) => {
    const { world, session, namespace } = await coldWorld(8, 4);
    const [before] = await lookup(session, namespace, [8]);
    world.shared.holdLoads = true;
    await session.prefetch(namespace, keysOf(1, 2, 3, 4), 4);
    const [queued] = await lookup(session, namespace, [8]);
    t.ok(queued!.readyUs > before!.readyUs, 'behind what is on its way');
    const [onItsWay] = await lookup(session, namespace, [4]);
    t.match(onItsWay, { tier: LOOKUP_TIER.shared, lengthBytes: 4 * UNIT });
    t.ok(onItsWay!.readyUs > 0 && onItsWay!.readyUs < queued!.readyUs);
    world.shared.letGo();
    await settle();
    t.match((await lookup(session, namespace, [4]))[0], { tier: LOOKUP_TIER.dram, readyUs: 0 });
  },
);

t.test('a lookup that waits for the directory answers as of its end', async (t) => {
  const { world, session, namespace } = await coldWorld(2, 1);
  world.shared.holdLookups = true;
  const rows = lookup(session, namespace, [1, 2]);
  await settle();
  world.shared.holdLookups = false;
  await get(world, session, namespace, [1]);
  world.shared.letGo();
  t.same(
    (await rows).map(({ tier }) => tier),
    [LOOKUP_TIER.dram, LOOKUP_TIER.shared],
  );
});

t.test('explain tells the plan, its sum and the figures of the sources', async (t) => {
  const { world, session, namespace } = await coldWorld(4, 1);
  await put(world, session, namespace, 30, payload(30, 10));
  const first = await session.explain(namespace, keysOf(30, 1, 2, 50), 4);
  t.match(first, {
    keys: 4,
    misses: 1,
    plan: [
      { name: 'dram', tier: 'dram', blocks: 1, bytes: 10, estimatedMs: 0 },
      { name: 'shared', tier: 'shared', blocks: 2, bytes: 2 * UNIT },
    ],
    sources: [{ name: 'shared', tier: 'shared', loads: 0, failures: 0, suspendedMs: 0 }],
  });
  t.equal(first.estimatedMs, first.plan[1]!.estimatedMs);
  await get(world, session, namespace, [1]);
  const second = await session.explain(namespace, keysOf(2), 1);
  t.match(second.sources, [{ name: 'shared', loads: 1, bytes: UNIT }]);
  t.same((await session.explain(namespace, new Uint32Array(0), 0)).plan.length, 1, 'nothing but DRAM');
});

t.test('arguments out of bounds are refused', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const rows = new Uint32Array(LOOKUP_ROW_WORDS);
  t.throws(() => session.lookup(namespace, keysOf(1, 2), 2, rows), { code: 'ERR_INVALID_ARGUMENT' });
  t.throws(() => session.lookup(namespace + 1, keysOf(1), 1, rows), { code: 'ERR_NAMESPACE_UNKNOWN' });
  t.throws(() => session.explain(namespace, keysOf(1), 2), { code: 'ERR_INVALID_ARGUMENT' });
  t.throws(() => session.explain(namespace + 1, keysOf(1), 1), { code: 'ERR_NAMESPACE_UNKNOWN' });
});
