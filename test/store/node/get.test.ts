import { PUT_STATUS, READ_ROW_WORDS, ROW_STATUS } from '@refill/interface';
import { LOAD_STATUS } from '@refill/store';
import t from 'tap';
import { settle } from '../../fixtures/manual-clock.ts';
import {
  createWorld,
  get,
  keysOf,
  openSession,
  payload,
  put,
  readRow,
  UNIT,
} from '../../fixtures/node-world.ts';

t.test('hits in DRAM are answered in the call, without a promise, and pinned', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  t.equal(await put(world, session, namespace, 1, payload(1, 100_000)), PUT_STATUS.stored);
  const rows = new Uint32Array(2 * READ_ROW_WORDS);
  t.equal(session.get(namespace, keysOf(1, 1), 2, 1000, rows), undefined, 'a key twice is pinned twice');
  const block = readRow(world, rows, 1);
  t.equal(block.status, ROW_STATUS.hit);
  t.equal(block.tokens, 16);
  t.same(block.bytes, payload(1, 100_000));
  t.equal(world.node.status().arena.pinnedBytes, 2 * UNIT);
  session.release(Uint32Array.of(block.slot, block.slot), 2);
  t.equal(world.node.status().arena.pinnedBytes, 0);
  t.throws(() => session.release(Uint32Array.of(block.slot), 1), { code: 'ERR_HANDLE_UNKNOWN' });
});

t.test(
  'a block of the shared tier is read once however many ask, each within its own deadline',
  async (t) => {
    const world = await createWorld();
    const { session, namespace } = await openSession(world);
    await put(world, session, namespace, 1, payload(1, 5000), 'shared');
    // Pushed out of the arena by a block as large as it.
    await put(world, session, namespace, 2, payload(2, 64 * UNIT), 'shared');
    world.shared.holdLoads = true;
    const others = await Promise.all([1, 2, 3].map(() => openSession(world)));
    const reads = others.map(({ session }) => get(world, session, namespace, [1, 9, 1]));
    const hasty = get(world, session, namespace, [1], 10);
    await world.clock.advance(20);
    t.equal((await hasty)[0]!.status, ROW_STATUS.late);
    world.shared.letGo();
    for (const blocks of await Promise.all(reads)) {
      t.same(
        blocks.map((block) => block.status),
        [ROW_STATUS.hit, ROW_STATUS.miss, ROW_STATUS.hit],
      );
      t.same(blocks[2]!.bytes, payload(1, 5000));
    }
    t.equal(world.shared.blocksLoaded, 1);
    t.equal(world.node.status().reads.singleFlightJoins, 6);
    for (const { session } of others) session.close();
    t.equal(world.node.status().arena.pinnedBytes, 0);
  },
);

t.test('the slot of a late load is used by nobody until the kernel lets go of it', async (t) => {
  const world = await createWorld({ paneUnits: [2] });
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, UNIT), 'shared');
  await put(world, session, namespace, 2, payload(2, 2 * UNIT), 'shared');
  world.shared.outcomeOfLoad = () => LOAD_STATUS.late;
  t.equal((await get(world, session, namespace, [1]))[0]!.status, ROW_STATUS.late);
  t.equal(world.node.status().arena.quarantinedBytes, UNIT);
  world.shared.outcomeOfLoad = () => LOAD_STATUS.done;
  const [again] = await get(world, session, namespace, [1]);
  t.equal(again!.status, ROW_STATUS.hit, 'it is read anew, elsewhere');
  t.equal((await get(world, session, namespace, [2]))[0]!.status, ROW_STATUS.noRoom);
  world.shared.letLateGo();
  t.same(again!.bytes, payload(1, UNIT), 'the late write went to the old slot');
  session.release(Uint32Array.of(again!.slot), 1);
  t.equal((await get(world, session, namespace, [2]))[0]!.status, ROW_STATUS.hit);
  t.equal(world.node.status().arena.quarantinedBytes, 0);
});

t.test('closing a session ends its waiting reads, and their blocks arrive for others', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const other = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 5000), 'shared');
  await put(world, session, namespace, 2, payload(2, 64 * UNIT), 'shared');
  world.shared.holdLoads = true;
  const read = get(world, session, namespace, [1]);
  session.close();
  await t.rejects(read, { code: 'ERR_NODE_CLOSED' });
  t.equal(world.node.status().arena.pinnedBytes, 0);
  const second = get(world, other.session, namespace, [1]);
  world.shared.letGo();
  t.equal((await second)[0]!.status, ROW_STATUS.hit);
  t.equal(world.shared.loads, 1);
  await settle();
  t.equal(world.clock.pending, 0, 'no timer is left behind');
});

t.test('corrupt, gone and failed blocks are what their row says, and leave nothing behind', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  for (const key of [1, 2, 3]) await put(world, session, namespace, key, payload(key, 5000), 'shared');
  await put(world, session, namespace, 4, payload(4, 64 * UNIT), 'shared');
  const outcomes: number[] = [LOAD_STATUS.corrupt, LOAD_STATUS.gone, LOAD_STATUS.failed];
  world.shared.outcomeOfLoad = () => outcomes.shift()!;
  const blocks = await get(world, session, namespace, [1, 2, 3]);
  t.same(
    blocks.map((block) => block.status),
    [ROW_STATUS.corrupt, ROW_STATUS.miss, ROW_STATUS.failed],
  );
  t.equal(world.node.status().arena.blocks, 0);
  t.equal(world.node.status().arena.usedBytes, 0);
});

t.test('wrong arguments are refused by name before anything is done', async (t) => {
  const world = await createWorld({ pinsPerSessionMax: 2 });
  const { session, namespace } = await openSession(world);
  const rows = new Uint32Array(3 * READ_ROW_WORDS);
  t.throws(() => session.get(namespace + 1, keysOf(1), 1, 0, rows), { code: 'ERR_NAMESPACE_UNKNOWN' });
  t.throws(() => session.get(namespace, keysOf(1), 2, 0, rows), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /^keys/,
  });
  t.throws(() => session.get(namespace, keysOf(1), 1, -1, rows), { message: /^deadlineMs/ });
  t.throws(() => session.get(namespace, keysOf(1), 1, 0, new Uint32Array(2)), { message: /^rows/ });
  t.throws(() => session.get(namespace, keysOf(1), 1.5, 0, rows), { message: /^count/ });
  t.throws(() => session.get(namespace, keysOf(1, 2, 3), 3, 0, rows), { code: 'ERR_LIMIT' });
  session.close();
  t.throws(() => session.get(namespace, keysOf(1), 1, 0, rows), { code: 'ERR_NODE_CLOSED' });
});

t.test('a hit in DRAM of a block that was loaded is a use for the directory too', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10), 'shared');
  await put(world, session, namespace, 2, payload(2, 64 * UNIT), 'shared');
  await get(world, session, namespace, [1]);
  const { touched } = world.shared;
  await get(world, session, namespace, [1, 1]);
  t.equal(world.shared.touched, touched + 2);
});
