import { READ_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { createWorld, get, keysOf, openSession, payload, put, putsOf } from '../../fixtures/node-world.ts';

t.test('a namespace whose index means another one by now is refused until it is opened again', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 5000));
  t.equal((await get(world, session, namespace, [1]))[0]!.status, 1);
  const record = world.shared.namespace(namespace)!;
  for (const now of [undefined, { ...record, id: record.id.map((byte) => byte ^ 1) }]) {
    world.shared.namespace = () => now;
    const rows = new Uint32Array(READ_ROW_WORDS);
    for (const call of [
      () => session.get(namespace, keysOf(1), 1, 100, rows),
      () => session.matchPrefix(namespace, keysOf(1), 1),
      () => session.reserve(namespace, putsOf({ key: 2, lengthBytes: 100 }), 1, rows),
    ]) {
      await t.rejects(async () => call(), { code: 'ERR_NAMESPACE_UNKNOWN', message: /Open it again/ });
    }
    await t.rejects(session.delete(namespace, keysOf(1), 1, 100), { code: 'ERR_NAMESPACE_UNKNOWN' });
  }
  world.shared.namespace = () => ({ ...record, id: record.id.slice() });
  t.equal((await get(world, session, namespace, [1]))[0]!.status, 1, 'another object of the same namespace');
});
