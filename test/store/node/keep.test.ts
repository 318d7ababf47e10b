import { LOAD_STATUS } from '@refill/store';
import t from 'tap';
import { createWorld, get, keysOf, openSession, payload, put, UNIT } from '../../fixtures/node-world.ts';

t.test('pin reads, keeps from eviction and answers how many; unpin ends it', async (t) => {
  const world = await createWorld({ paneUnits: [4] });
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, UNIT), 'shared');
  await put(world, session, namespace, 2, payload(2, 4 * UNIT), 'shared');
  t.equal(await session.pin(namespace, keysOf(1, 9), 2, 1000), 1);
  t.equal(world.node.status().arena.pinnedBytes, UNIT);
  await put(world, session, namespace, 3, payload(3, 3 * UNIT), 'shared');
  const { loads } = world.shared;
  await get(world, session, namespace, [1]);
  t.equal(world.shared.loads, loads, 'still in DRAM');
  t.equal(session.unpin(namespace, keysOf(1, 9), 2), 1);
  t.equal(session.unpin(namespace, keysOf(1), 1), 0, 'once for each pin');
});

t.test('a deleted block is unpinned by its key, and what cannot be read is not pinned', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10), 'shared');
  t.equal(await session.pin(namespace, keysOf(1), 1, 1000), 1);
  await session.delete(namespace, keysOf(1), 1, 1000);
  t.equal(session.unpin(namespace, keysOf(1), 1), 1);
  t.equal(world.node.status().arena.usedBytes, 0);
  await put(world, session, namespace, 2, payload(2, 10), 'shared');
  await put(world, session, namespace, 3, payload(3, 64 * UNIT), 'shared');
  world.shared.outcomeOfLoad = () => LOAD_STATUS.failed;
  t.equal(await session.pin(namespace, keysOf(2), 1, 1000), 0);
  t.equal(world.node.status().arena.pinnedBytes, 0);
});

t.test('touch tells the directory about those that it knows', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10), 'shared');
  const { touched } = world.shared;
  session.touch(namespace, keysOf(1, 9), 2);
  t.equal(world.shared.touched, touched + 1);
});
