import t from 'tap';
import { settle } from '../../fixtures/manual-clock.ts';
import { createWorld, get, keysOf, openSession, payload, put, UNIT } from '../../fixtures/node-world.ts';

t.test('prefetch answers how many will be read, does not wait and pins nothing', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  for (const key of [1, 2]) await put(world, session, namespace, key, payload(key, 10), 'shared');
  await put(world, session, namespace, 3, payload(3, 64 * UNIT), 'shared');
  world.shared.holdLoads = true;
  t.equal(await session.prefetch(namespace, keysOf(1, 2, 2, 9), 4), 2);
  t.equal(await session.prefetch(namespace, keysOf(1), 1), 0, 'on its way already');
  t.equal(world.node.status().arena.pinnedBytes, 0);
  world.shared.letGo();
  await settle();
  t.equal(await session.prefetch(namespace, keysOf(1, 2), 2), 0);
  const [block] = await get(world, session, namespace, [1]);
  t.same(block!.bytes, payload(1, 10));
  t.equal(world.shared.loads, 1);
});
