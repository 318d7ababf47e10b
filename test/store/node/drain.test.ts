import {
  FILL_ROW_WORDS,
  LOOKUP_ROW,
  LOOKUP_ROW_WORDS,
  LOOKUP_TIER,
  PUT_STATUS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  ROW_STATUS,
} from '@refill/interface';
import t from 'tap';
import { HoldWorld } from '../../fixtures/hold-world.ts';
import {
  createWorld,
  get,
  keysOf,
  openSession,
  payload,
  put,
  putsOf,
  UNIT,
} from '../../fixtures/node-world.ts';

t.test('a node alone stores everything, takes no more puts, and answers reads', async (t) => {
  const world = await createWorld({ behindAgeMs: 60_000 });
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, UNIT));
  t.equal(world.shared.blocks.size, 0);
  let isOver = false;
  world.node.onDrained = () => {
    isOver = true;
  };
  const draining = world.node.drain({ hotBytes: 2 ** 30, deadlineMs: 1000 });
  await world.clock.advance(10);
  t.match(await draining, { phase: 'done', isComplete: true, hotBlocks: 1, heldBlocks: 0, refusedBlocks: 1 });
  t.equal(world.shared.blocks.size, 1);
  const rows = new Uint32Array(RESERVE_ROW_WORDS);
  t.throws(() => session.reserve(namespace, putsOf({ key: 2, lengthBytes: 10 }), 1, rows), {
    code: 'ERR_NODE_DRAINING',
    message: 'node a is leaving and takes no puts. Start it again',
  });
  await t.rejects(session.acquireFill(namespace, keysOf(2), 1, 1000, 100, new Uint32Array(FILL_ROW_WORDS)), {
    code: 'ERR_NODE_DRAINING',
  });
  t.equal((await get(world, session, namespace, [1]))[0]!.status, ROW_STATUS.hit);
  t.equal(isOver, false, 'its answer goes out first');
  await world.clock.advance(50);
  t.equal(isOver, true);
  t.match(world.node.status().drain, { phase: 'done' });
});

t.test('hot blocks go to other nodes, hottest first and no more than was said', async (t) => {
  const world = new HoldWorld();
  const [a, b, c] = [await world.node('a'), await world.node('b'), await world.node('c')];
  for (let key = 1; key <= 10; key++) {
    await world.until(put(a, a.session, a.namespace, key, payload(key, UNIT), 'shared'));
  }
  for (const key of [7, 3, 3]) {
    const [row] = await get(a, a.session, a.namespace, [key]);
    a.session.release(Uint32Array.of(row!.slot), 1);
  }
  const report = await world.until(a.node.drain({ hotBytes: 2 * UNIT, deadlineMs: 5000, stay: true }));
  t.match(report, {
    isComplete: true,
    ...{ hotBlocks: 2, hotBytes: 2 * UNIT, heldBlocks: 2, heldBytes: 2 * UNIT, refusedBlocks: 0 },
  });
  t.equal(report.holders.length, 1);
  t.equal(a.drains, 1, 'the others know');
  const taker = [b, c].find(({ name }) => name === report.holders[0]!.node)!;
  const rows = new Uint32Array(3 * LOOKUP_ROW_WORDS);
  await taker.session.lookup(taker.namespace, keysOf(3, 7, 1), 3, rows);
  const { dram, shared } = LOOKUP_TIER;
  t.same(
    [0, 1, 2].map((i) => rows[i * LOOKUP_ROW_WORDS + LOOKUP_ROW.tier]),
    [dram, dram, shared],
  );
  await t.rejects(put(a, a.session, a.namespace, 99, payload(99, 10)), {
    message: /Put on another node: b, c/,
  });
});

t.test('a node that refuses is passed over, and one that leaves is not asked', async (t) => {
  const world = new HoldWorld();
  const [a, b] = [await world.node('a'), await world.node('b', { paneUnits: [8] })];
  const c = await world.node('c');
  for (let key = 100; key < 105; key++) {
    await world.until(put(b, b.session, b.namespace, key, payload(key, UNIT), 'shared', 1000, { pin: true }));
  }
  await world.until(c.node.drain({ hotBytes: 0, deadlineMs: 1000, stay: true }));
  for (let key = 1; key <= 3; key++) {
    await world.until(put(a, a.session, a.namespace, key, payload(key, UNIT), 'shared'));
  }
  const report = await world.until(a.node.drain({ hotBytes: 2 ** 30, deadlineMs: 5000 }));
  t.match(report, { isComplete: true, hotBlocks: 3, heldBlocks: 0, refusedBlocks: 3, holders: [] });
  t.equal(c.node.status().hints.holdsAsked, 0);
});

t.test('blocks that cannot be stored keep it from being complete, and asking again goes on', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  await put(world, session, namespace, 1, payload(1, UNIT));
  let isOver = false;
  world.node.onDrained = () => {
    isOver = true;
  };
  const first = world.node.drain({ hotBytes: 0, deadlineMs: 2000 });
  await world.clock.advance(2100);
  t.match(await first, { isComplete: false, phase: 'flushing', unstoredBlocks: 1 });
  t.notOk(isOver);
  world.shared.outcomeOfStore = () => PUT_STATUS.stored;
  const second = world.node.drain({ hotBytes: 0, deadlineMs: 2000 });
  await world.clock.advance(1000);
  t.match(await second, { isComplete: true, unstoredBlocks: 0 });
  await world.clock.advance(50);
  t.ok(isOver);
});

t.test('a store that hangs ends it at its deadline', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.shared.holdStores = true;
  await put(world, session, namespace, 1, payload(1, UNIT));
  const draining = world.node.drain({ hotBytes: 0, deadlineMs: 500 });
  await world.clock.advance(500);
  t.match(await draining, { isComplete: false, backlogBytes: UNIT });
  world.shared.letGo();
});

t.test('what was reserved before may be committed, and fill leases end', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const rows = new Uint32Array(RESERVE_ROW_WORDS);
  session.reserve(namespace, putsOf({ key: 1, lengthBytes: UNIT }), 1, rows);
  await session.acquireFill(namespace, keysOf(5), 1, 60_000, 100, new Uint32Array(FILL_ROW_WORDS));
  let present = -1;
  void session.awaitFill(namespace, keysOf(5), 1, 30_000).then((count) => {
    present = count;
  });
  const draining = world.node.drain({ hotBytes: 0, deadlineMs: 3000 });
  await world.clock.advance(100);
  t.equal(present, 0, 'whoever waited computes it elsewhere');
  t.match(world.node.status().drain, { phase: 'flushing', reservations: 1 });
  session.commit(rows.subarray(RESERVE_ROW.slot, RESERVE_ROW.slot + 1), 1, 'memory', 100, new Uint32Array(1));
  await world.clock.advance(200);
  t.match(await draining, { isComplete: true, reservations: 0 });
  t.equal(world.shared.blocks.size, 1);
});
