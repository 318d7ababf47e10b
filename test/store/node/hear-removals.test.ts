import { type Cluster, PUT_STATUS, READ_ROW_WORDS, RefillError, ROW_STATUS } from '@refill/interface';
import t from 'tap';
import {
  createWorld,
  get,
  keysOf,
  openSession,
  payload,
  put,
  readRow,
  type World,
} from '../../fixtures/node-world.ts';

const BYTES = 1000;

/** A node in a cluster, and what it tells the cluster of its memory. */
async function joinedWorld(): Promise<World & { cluster: Cluster; resident: string[] }> {
  const resident: string[] = [];
  const cluster = {
    lease: {},
    members: [],
    member: () => undefined,
    noteResident: (_: number, keys: Uint32Array, at: number, isResident: boolean) =>
      void resident.push(`${isResident ? '+' : '-'}${keys[at]}`),
  } as unknown as Cluster;
  return { ...(await createWorld({ cluster })), cluster, resident };
}

const nameOf = (namespace: number, key: number): string => `${namespace}:${keysOf(key).join()}`;

t.test('a block that another node deleted leaves this DRAM', async (t) => {
  const world = await joinedWorld();
  const { session, namespace } = await openSession(world);
  for (const key of [1, 2]) await put(world, session, namespace, key, payload(key, BYTES), 'shared');
  const [held] = await get(world, session, namespace, [1]);
  for (const key of [1, 3]) {
    world.shared.blocks.delete(nameOf(namespace, key));
    world.cluster.onRemoved!(namespace, keysOf(key));
  }
  t.same(held!.bytes, payload(1, BYTES), 'who holds it keeps it');
  session.release(Uint32Array.of(held!.slot), 1);
  const [gone, kept] = await get(world, session, namespace, [1, 2]);
  t.equal(gone!.status, ROW_STATUS.miss);
  t.same(kept!.bytes, payload(2, BYTES));
  t.same(world.resident, [`+${keysOf(1)[0]}`, `+${keysOf(2)[0]}`, `-${keysOf(1)[0]}`]);
});

t.test('a block that was put here and is not stored yet is another than the one deleted', async (t) => {
  const world = await joinedWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, BYTES));
  world.cluster.onRemoved!(namespace, keysOf(1));
  t.same((await get(world, session, namespace, [1]))[0]!.bytes, payload(1, BYTES), 'it waits');
  world.shared.holdStores = true;
  const storing = session.flush(1000);
  await new Promise(setImmediate);
  world.cluster.onRemoved!(namespace, keysOf(1));
  t.same((await get(world, session, namespace, [1]))[0]!.bytes, payload(1, BYTES), 'it is under way');
  world.shared.letGo();
  await storing;
  await new Promise(setImmediate);
  t.equal(world.shared.loads, 0);
  // Its commit may have come before the deletion: only the shared tier knows.
  world.shared.blocks.delete(nameOf(namespace, 1));
  t.equal((await get(world, session, namespace, [1]))[0]!.status, ROW_STATUS.miss);
});

t.test('a lookup that was under way when a deletion was heard is made again', async (t) => {
  const world = await joinedWorld();
  const { session, namespace } = await openSession(world);
  for (const key of [1, 2]) await put(world, session, namespace, key, payload(key, BYTES), 'shared');
  for (const key of [1, 2]) world.cluster.onRemoved!(namespace, keysOf(key));
  world.shared.holdLookups = true;
  const rows = new Uint32Array(2 * READ_ROW_WORDS);
  const reading = session.get(namespace, keysOf(1, 2), 2, 1000, rows);
  world.shared.blocks.delete(nameOf(namespace, 1));
  world.cluster.onRemoved!(namespace, keysOf(1));
  world.shared.holdLookups = false;
  world.shared.letGo();
  await reading;
  t.equal(readRow(world, rows, 0).status, ROW_STATUS.miss, 'its answer was from before');
  t.equal(world.shared.counters.payloadBytesRead, BYTES, 'the file, which is still there, is not read');
  t.same(readRow(world, rows, 1).bytes, payload(2, BYTES));
});

t.test(
  'deletions that were not told one by one: what is held is asked for, and dropped if it is nowhere',
  async (t) => {
    const world = await joinedWorld();
    const { session, namespace } = await openSession(world);
    const keys = Array.from({ length: 20 }, (_, i) => i);
    for (const key of keys) await put(world, session, namespace, key, payload(key, BYTES), 'shared');
    t.equal(await put(world, session, namespace, 99, payload(99, BYTES)), PUT_STATUS.stored);
    for (const key of [3, 4]) world.shared.blocks.delete(nameOf(namespace, key));
    // Deleted and put again by another node.
    Object.assign(world.shared.blocks.get(nameOf(namespace, 5))!, { entry: 77, bytes: payload(55, BYTES) });
    const { lookup } = world.shared;
    const certain: unknown[] = [];
    world.shared.lookup = (...args: unknown[]) => {
      certain.push(args[4]);
      if (certain.length === 1) throw new RefillError('ERR_METADATA_UNAVAILABLE', 'away');
      return Reflect.apply(lookup, world.shared, args);
    };
    world.cluster.onRemovalsMissed!(false);
    await new Promise(setImmediate);
    await world.clock.advance(1000);
    await new Promise(setImmediate);
    t.same(certain, [{ certain: true }, { certain: true }], 'tried again, and not from what is remembered');
    world.shared.lookup = lookup;
    const statuses = (await get(world, session, namespace, [...keys, 99])).map(({ status }) => status);
    t.same(
      statuses.flatMap((status, i) => (status === ROW_STATUS.miss ? [i] : [])),
      [3, 4],
    );
    t.equal(world.shared.loads, 1, 'the others stayed');
    t.same((await get(world, session, namespace, [5]))[0]!.bytes, payload(55, BYTES));
    await world.node.stop();
    t.equal(world.cluster.onRemovalsMissed, undefined);
  },
);

t.test('places of blocks mean nothing in another life of the directory', async (t) => {
  const world = await joinedWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, BYTES), 'shared');
  // Another block lies at the same index and offset now.
  Object.assign(world.shared.blocks.get(nameOf(namespace, 1))!, { bytes: payload(2, BYTES) });
  world.cluster.onRemovalsMissed!(true);
  await new Promise(setImmediate);
  t.same((await get(world, session, namespace, [1]))[0]!.bytes, payload(2, BYTES));
  await world.node.stop();
});

t.test('a block that is on its way from where the directory says is no miss for that', async (t) => {
  const world = await joinedWorld();
  const { session, namespace } = await openSession(world);
  for (const key of [1, 2])
    world.shared.blocks.set(nameOf(namespace, key), {
      bytes: payload(key, BYTES),
      tokens: 1,
      entry: key,
      segment: 1,
    });
  world.shared.holdLoads = true;
  const rows = new Uint32Array(2 * READ_ROW_WORDS);
  const reading = session.get(namespace, keysOf(1, 2), 2, 1000, rows);
  await new Promise(setImmediate);
  // Deleted and put again while it is read: where it lay then is not where it lies.
  Object.assign(world.shared.blocks.get(nameOf(namespace, 2))!, { entry: 9 });
  world.cluster.onRemovalsMissed!(false);
  await new Promise(setImmediate);
  world.shared.holdLoads = false;
  world.shared.letGo();
  await reading;
  t.same(readRow(world, rows, 0).bytes, payload(1, BYTES));
  const { loads } = world.shared;
  await get(world, session, namespace, [1]);
  t.equal(world.shared.loads, loads, 'and it stays');
  await get(world, session, namespace, [2]);
  t.equal(world.shared.loads, loads + 1);
  await world.node.stop();
});
