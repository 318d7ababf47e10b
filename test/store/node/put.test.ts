import { PUT_STATUS, RESERVE_ROW, RESERVE_ROW_WORDS, RESERVE_STATUS, ROW_STATUS } from '@refill/interface';
import t from 'tap';
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

t.test('a put is seen by nobody before its commit, and taken for everybody else', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const rows = new Uint32Array(2 * RESERVE_ROW_WORDS);
  session.reserve(namespace, putsOf({ key: 1, lengthBytes: 10 }, { key: 1, lengthBytes: 10 }), 2, rows);
  t.equal(rows[RESERVE_ROW.status], RESERVE_STATUS.reserved);
  t.equal(rows[RESERVE_ROW_WORDS + RESERVE_ROW.status], RESERVE_STATUS.exists);
  t.equal((await get(world, session, namespace, [1]))[0]!.status, ROW_STATUS.miss);
  session.abort(rows.subarray(RESERVE_ROW.slot, RESERVE_ROW.slot + 1), 1);
  t.equal(world.node.status().arena.usedBytes, 0);
  t.equal(await put(world, session, namespace, 1, payload(1, 10)), PUT_STATUS.stored);
});

t.test('an arena full of blocks not stored yet makes reserve wait, then answer noRoom', async (t) => {
  const world = await createWorld({ paneUnits: [4], reserveWaitMs: 100, backlogBytesMax: 2 ** 40 });
  const { session, namespace } = await openSession(world);
  world.shared.holdStores = true;
  for (const key of [1, 2]) await put(world, session, namespace, key, payload(key, 2 * UNIT));
  const late = put(world, session, namespace, 3, payload(3, UNIT));
  await world.clock.advance(101);
  t.equal(await late, PUT_STATUS.noRoom);
  const patient = put(world, session, namespace, 4, payload(4, UNIT));
  await world.clock.advance(10);
  world.shared.letGo();
  t.equal(await patient, PUT_STATUS.stored, 'the first store made room');
});

t.test('a failed store leaves a memory put readable and a shared put forgotten', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  await put(world, session, namespace, 1, payload(1, 10));
  t.equal(await session.flush(1000), 1);
  t.equal(await session.flush(1000), 1, 'told as long as it is only in memory');
  const [block] = await get(world, session, namespace, [1]);
  t.equal(block!.status, ROW_STATUS.hit);
  session.release(Uint32Array.of(block!.slot), 1);
  t.equal(await put(world, session, namespace, 2, payload(2, 10), 'shared'), PUT_STATUS.failed);
  t.equal((await get(world, session, namespace, [2]))[0]!.status, ROW_STATUS.miss);
  world.shared.outcomeOfStore = () => PUT_STATUS.stored;
  t.equal(await session.flush(1000), 1, 'the shared put that failed, told once');
  t.equal(await session.flush(1000), 0);
  t.equal(world.shared.blocks.size, 1, 'a flush tries again what failed before');
});

t.test('a put for the shared file system of a block that could not be stored stores that one', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.io.files.set('r', payload(1, UNIT, 2));
  const region = await session.registerRegion({ path: 'r' }, UNIT);
  const putAgain = async (): Promise<number> => {
    const statuses = new Uint32Array(1);
    const puts = putsOf({ key: 1, lengthBytes: 10 });
    await session.putFrom(namespace, region, puts, Uint32Array.of(0, 0, UNIT), 1, 'shared', 1000, statuses);
    return statuses[0]!;
  };
  world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  await put(world, session, namespace, 1, payload(1, 10));
  t.equal(await session.flush(1000), 1);
  t.equal(await put(world, session, namespace, 1, payload(1, 20), 'shared'), PUT_STATUS.exists);
  t.equal(await putAgain(), PUT_STATUS.failed);
  t.equal(await session.flush(1000), 1, 'what was promised to memory is there still, and only there');
  const [first] = await get(world, session, namespace, [1]);
  t.same(first!.bytes, payload(1, 10), 'the first complete write wins');
  world.shared.outcomeOfStore = () => PUT_STATUS.stored;
  t.equal(await putAgain(), PUT_STATUS.exists);
  t.equal(await session.flush(1000), 0, 'it is durable now, and nothing was lost');
  t.same([...world.shared.blocks.values()][0]!.bytes, payload(1, 10));
  t.equal(world.node.status().arena.blocks, 1);
});

t.test('what could not be stored gives way to what another node stored meanwhile', async (t) => {
  const [world, elsewhere] = [await createWorld(), await createWorld()];
  const other = await openSession(elsewhere);
  await put(elsewhere, other.session, other.namespace, 1, payload(1, 10, 2), 'shared');
  const { session, namespace } = await openSession(world);
  world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  for (const key of [1, 2]) await put(world, session, namespace, key, payload(key, 10));
  t.equal(await session.flush(1000), 2);
  for (const [name, stored] of elsewhere.shared.blocks) world.shared.blocks.set(name, stored);
  const before = world.shared.calls.length;
  t.equal(await session.flush(1000), 1, 'one is left');
  t.same(world.shared.calls.slice(before), ['store 1 behind'], 'and nobody tried to store the other');
  const [block] = await get(world, session, namespace, [1]);
  t.same(block!.bytes, payload(1, 10, 2), 'one version for all');
});

t.test('a flush counts what is being asked about before another try', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  await put(world, session, namespace, 1, payload(1, 10));
  t.equal(await session.flush(1000), 1);
  world.shared.holdLookups = true;
  await world.clock.advance(5_000);
  let left: number | undefined;
  const flushed = Promise.resolve(session.flush(60_000)).then((count) => {
    left = count;
  });
  await world.clock.advance(100);
  t.equal(left, undefined, 'it waits for the answer');
  world.shared.holdLookups = false;
  world.shared.letGo();
  await flushed;
  t.equal(left, 1);
});

t.test('who awaits a block hears at once that another node has stored it', async (t) => {
  const [world, elsewhere] = [await createWorld(), await createWorld()];
  const other = await openSession(elsewhere);
  await put(elsewhere, other.session, other.namespace, 1, payload(1, 10, 2), 'shared');
  const { session, namespace } = await openSession(world);
  world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  await put(world, session, namespace, 1, payload(1, 10));
  t.equal(await session.flush(1000), 1);
  world.shared.holdLookups = true;
  await world.clock.advance(5_000);
  const statuses = new Uint32Array(1);
  let isTold = false;
  const awaiting = Promise.resolve(session.awaitStored(namespace, keysOf(1), 1, 60_000, statuses)).then(
    () => {
      isTold = true;
    },
  );
  for (const [name, stored] of elsewhere.shared.blocks) world.shared.blocks.set(name, stored);
  world.shared.holdLookups = false;
  world.shared.letGo();
  await world.clock.advance(10);
  t.ok(isTold, 'not only at its deadline');
  await world.clock.advance(60_000);
  await awaiting;
  t.equal(statuses[0], PUT_STATUS.exists);
});

t.test('write-behind tries what failed again, later and later, until there is space', async (t) => {
  const world = await createWorld({ behindBlocksMax: 4 });
  const { session, namespace } = await openSession(world);
  world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  for (let key = 0; key < 10; key++) await put(world, session, namespace, key, payload(key, 10));
  await world.clock.advance(100);
  const before = world.shared.calls.length;
  await world.clock.advance(600_000);
  const tries = world.shared.calls.length - before;
  t.ok(tries > 5 && tries < 30, `${tries} tries in ten minutes`);
  world.shared.outcomeOfStore = () => PUT_STATUS.stored;
  await world.clock.advance(65_000);
  t.equal(world.shared.blocks.size, 10, 'after the first success the rest follows soon');
  t.equal(await session.flush(1000), 0);
  t.equal(world.clock.pending, 0, 'no timer is left behind');
});

t.test('a block that is evicted before it could be stored is told as lost, once', async (t) => {
  const world = await createWorld({ paneUnits: [2] });
  const { session, namespace } = await openSession(world);
  world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  await put(world, session, namespace, 1, payload(1, 2 * UNIT));
  await session.flush(1000);
  world.shared.outcomeOfStore = () => PUT_STATUS.stored;
  t.equal(await put(world, session, namespace, 2, payload(2, 2 * UNIT), 'shared'), PUT_STATUS.stored);
  t.equal(await session.flush(1000), 1);
  t.equal(await session.flush(1000), 0);
});

t.test('delete comes after the stores in flight, and nothing brings a block back', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.shared.holdStores = true;
  const storing = put(world, session, namespace, 1, payload(1, 10), 'shared');
  await put(world, session, namespace, 2, payload(2, 10));
  const deleted = session.delete(namespace, keysOf(1, 2, 2), 3, 1000);
  world.shared.letGo();
  await storing;
  t.equal(await deleted, 2);
  t.same(world.shared.calls.slice(-2), ['store 1 now', 'remove 3']);
  t.same(
    (await get(world, session, namespace, [1, 2])).map((block) => block.status),
    [ROW_STATUS.miss, ROW_STATUS.miss],
  );
});

t.test('empty and over-long blocks are refused by name', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  for (const lengthBytes of [0, 256 * 1024 * 1024 + 1]) {
    t.throws(() => session.reserve(namespace, putsOf({ key: 1, lengthBytes }), 1, new Uint32Array(4)), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /puts\[0\]\.lengthBytes/,
    });
  }
});

t.test('stop flushes, seals and stops the tier in this order, and refuses what comes after', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10));
  await world.node.stop();
  t.same(world.shared.calls, ['start', 'store 1 behind', 'seal', 'stop']);
  t.throws(() => world.node.openSession(), { code: 'ERR_NODE_CLOSED' });
  t.throws(() => session.get(namespace, keysOf(1), 1, 0, new Uint32Array(6)), { code: 'ERR_NODE_CLOSED' });
});

t.test('one large block among small ones is found room without emptying the arena', async (t) => {
  const world = await createWorld({ paneUnits: [64] });
  const { session, namespace } = await openSession(world);
  for (let key = 0; key < 64; key++) await put(world, session, namespace, key, payload(key, UNIT), 'shared');
  t.equal(await put(world, session, namespace, 99, payload(99, 16 * UNIT), 'shared'), PUT_STATUS.stored);
  t.ok(world.node.status().arena.evictions <= 40, `${world.node.status().arena.evictions} evicted for 16`);
});
