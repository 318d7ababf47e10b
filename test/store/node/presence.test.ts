import t from 'tap';
import { createWorld, keysOf, openSession, payload, put } from '../../fixtures/node-world.ts';

t.test('blocks in DRAM only are as present as stored ones, reserved ones are not', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.shared.holdStores = true;
  for (const key of [3, 4]) await put(world, session, namespace, key, payload(key, 10));
  world.shared.holdStores = false;
  for (const key of [1, 2]) await put(world, session, namespace, key, payload(key, 10), 'shared');
  const present = new Uint8Array(5);
  await session.exists(namespace, keysOf(4, 9, 1, 3, 2), 5, present);
  t.same([...present], [1, 0, 1, 1, 1]);
  const prefix = (...keys: number[]): number | Promise<number> =>
    session.matchPrefix(namespace, keysOf(...keys), keys.length);
  t.equal(await prefix(1, 2, 3, 4, 5), 4, 'the stored part, and on from there in DRAM');
  t.equal(await prefix(3, 1, 4, 2), 4, 'in any order');
  t.equal(await prefix(9, 1), 0);
  t.equal(await prefix(1, 9, 2), 1);
  t.equal(await prefix(), 0);
});

t.test('a slow directory is waited for', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10), 'shared');
  world.shared.holdLookups = true;
  const present = new Uint8Array(2);
  const asked = session.exists(namespace, keysOf(1, 2), 2, present);
  world.shared.letGo();
  await asked;
  t.same([...present], [1, 0]);
});
