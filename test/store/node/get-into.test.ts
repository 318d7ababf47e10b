import { PUT_STATUS, READ_ROW, READ_ROW_WORDS, ROW_STATUS } from '@refill/interface';
import { LOAD_STATUS } from '@refill/store';
import t from 'tap';
import { settle } from '../../fixtures/manual-clock.ts';
import { createWorld, keysOf, openSession, payload, put, putsOf, UNIT } from '../../fixtures/node-world.ts';

t.test('hits are copied, others are read straight to their place, and nothing stays pinned', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const memory = new Uint8Array(4 * UNIT);
  world.io.files.set('r', memory);
  const region = await session.registerRegion({ path: 'r' }, memory.length);
  const source = payload(1, 5000);
  memory.set(source, 3 * UNIT);
  const statuses = new Uint32Array(1);
  await session.putFrom(
    namespace,
    region,
    putsOf({ key: 1, lengthBytes: 5000 }),
    Uint32Array.of(3 * UNIT, 0, UNIT),
    1,
    'shared',
    1000,
    statuses,
  );
  t.equal(statuses[0], PUT_STATUS.stored);
  t.equal(world.node.status().arena.blocks, 0, 'without passing the arena');
  await put(world, session, namespace, 2, payload(2, 6000));
  const rows = new Uint32Array(4 * READ_ROW_WORDS);
  const places = Uint32Array.of(0, 0, UNIT, UNIT, 0, UNIT, 2 * UNIT, 0, 4096, 2 * UNIT + 1, 0, 5001);
  await session.getInto(namespace, region, keysOf(1, 2, 1, 1), places, 4, 1000, rows);
  const status = (i: number) => rows[i * READ_ROW_WORDS + READ_ROW.status];
  t.same([0, 1, 2, 3].map(status), [ROW_STATUS.hit, ROW_STATUS.hit, ROW_STATUS.tooLong, ROW_STATUS.hit]);
  t.same(memory.subarray(0, 5000), source);
  t.same(memory.subarray(UNIT, UNIT + 6000), payload(2, 6000));
  t.same(
    memory.subarray(2 * UNIT + 1, 2 * UNIT + 5001),
    source,
    'an odd place takes the way through the arena',
  );
  t.equal(world.node.status().arena.pinnedBytes, 0);
});

t.test('a region with late I/O is detached only when the kernel lets go', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.io.files.set('r', new Uint8Array(UNIT));
  const region = await session.registerRegion({ path: 'r' }, UNIT);
  await put(world, session, namespace, 1, payload(1, 5000), 'shared');
  await put(world, session, namespace, 2, payload(2, 64 * UNIT), 'shared');
  world.shared.outcomeOfLoad = () => LOAD_STATUS.late;
  const rows = new Uint32Array(READ_ROW_WORDS);
  await session.getInto(namespace, region, keysOf(1), Uint32Array.of(0, 0, UNIT), 1, 1000, rows);
  t.equal(rows[READ_ROW.status], ROW_STATUS.late);
  const gone = session.unregisterRegion(region);
  await settle();
  t.equal(world.io.regions.size, 1);
  world.shared.letLateGo();
  await gone;
  t.equal(world.io.regions.size, 0);
  await t.rejects(session.unregisterRegion(region), { code: 'ERR_HANDLE_UNKNOWN' });
});

t.test('a cold block that many sessions read into their regions at a time is read once', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 5000), 'shared');
  await put(world, session, namespace, 2, payload(2, 64 * UNIT), 'shared');
  world.shared.holdLoads = true;
  const reads: Promise<void>[] = [];
  const memories: Uint8Array[] = [];
  for (let i = 0; i < 8; i++) {
    const other = await openSession(world);
    const memory = new Uint8Array(UNIT);
    memories.push(memory);
    world.io.files.set(`r${i}`, memory);
    const region = await other.session.registerRegion({ path: `r${i}` }, UNIT);
    const rows = new Uint32Array(READ_ROW_WORDS);
    const place = Uint32Array.of(0, 0, UNIT);
    const read = other.session.getInto(namespace, region, keysOf(1), place, 1, 1000, rows);
    reads.push(
      Promise.resolve(read)
        .then(() => t.equal(rows[READ_ROW.status], ROW_STATUS.hit))
        .then(() => {}),
    );
  }
  world.shared.holdLoads = false;
  world.shared.letGo();
  await Promise.all(reads);
  for (const memory of memories) t.same(memory.subarray(0, 5000), payload(1, 5000));
  t.equal(world.shared.blocksLoaded, 1, 'for eight answers');
  t.equal(world.node.status().arena.pinnedBytes, 0);
});
