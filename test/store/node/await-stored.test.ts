import {
  PUT_STATUS,
  RESERVE_EXISTS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
} from '@refill/interface';
import t from 'tap';
import { settle } from '../../fixtures/manual-clock.ts';
import { createWorld, keysOf, openSession, payload, put, putsOf, UNIT } from '../../fixtures/node-world.ts';

const { exists, failed, late } = PUT_STATUS;

t.test('reserve tells a block that is durable from one that is only in memory', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10), 'shared');
  await put(world, session, namespace, 2, payload(2, 10));
  const rows = new Uint32Array(2 * RESERVE_ROW_WORDS);
  const puts = putsOf({ key: 1, lengthBytes: 10 }, { key: 2, lengthBytes: 10 });
  const answer = async (): Promise<number[]> => {
    await session.reserve(namespace, puts, 2, rows);
    t.equal(rows[RESERVE_ROW.status], RESERVE_STATUS.exists);
    t.equal(rows[RESERVE_ROW_WORDS + RESERVE_ROW.status], RESERVE_STATUS.exists);
    return [rows[RESERVE_ROW.slot]!, rows[RESERVE_ROW_WORDS + RESERVE_ROW.slot]!];
  };
  t.same(await answer(), [RESERVE_EXISTS.stored, RESERVE_EXISTS.unstored]);
  await session.flush(1000);
  t.same(await answer(), [RESERVE_EXISTS.stored, RESERVE_EXISTS.stored]);
});

t.test('a block that waits for company is stored at once when somebody awaits it', async (t) => {
  const world = await createWorld({ behindAgeMs: 60_000 });
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10));
  await settle();
  t.equal(world.shared.blocks.size, 0);
  const statuses = new Uint32Array(2);
  await session.awaitStored(namespace, keysOf(1, 9), 2, 1000, statuses);
  t.same([...statuses], [exists, failed], 'what nobody put is not stored');
  t.equal(world.shared.blocks.size, 1);
});

t.test('what is not durable by the deadline is late, and a failed store is told', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  world.shared.holdStores = true;
  await put(world, session, namespace, 1, payload(1, 10));
  const statuses = new Uint32Array(1);
  const hasty = session.awaitStored(namespace, keysOf(1), 1, 10, statuses);
  await world.clock.advance(11);
  await hasty;
  t.equal(statuses[0], late);
  world.shared.outcomeOfStore = () => failed;
  const patient = session.awaitStored(namespace, keysOf(1), 1, 1000, statuses);
  world.shared.letGo();
  await patient;
  t.equal(statuses[0], failed);
});

t.test('the reservation of another session is awaited, whatever becomes of it', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const other = await openSession(world);
  const rows = new Uint32Array(RESERVE_ROW_WORDS);
  await session.reserve(namespace, putsOf({ key: 1, lengthBytes: 10 }), 1, rows);
  const statuses = new Uint32Array(1);
  const aborted = other.session.awaitStored(namespace, keysOf(1), 1, 1000, statuses);
  session.abort(rows.subarray(RESERVE_ROW.slot, RESERVE_ROW.slot + 1), 1);
  await world.clock.advance(20);
  await aborted;
  t.equal(statuses[0], failed);
  await session.reserve(namespace, putsOf({ key: 1, lengthBytes: 10 }), 1, rows);
  const awaited = other.session.awaitStored(namespace, keysOf(1), 1, 1000, statuses);
  await session.commit(rows.subarray(RESERVE_ROW.slot, RESERVE_ROW.slot + 1), 1, 'memory', 1000, rows);
  await world.clock.advance(20);
  await awaited;
  t.equal(statuses[0], exists);
  const never = other.session.awaitStored(namespace, keysOf(1), 1, 1000, statuses);
  await never;
  t.equal(world.clock.pending, 0, 'no timer is left behind');
});

t.test('a shared put from a region answers exists only for what is durable', async (t) => {
  const world = await createWorld({ behindAgeMs: 60_000 });
  const { session, namespace } = await openSession(world);
  world.io.files.set('r', new Uint8Array(UNIT));
  const region = await session.registerRegion({ path: 'r' }, UNIT);
  await put(world, session, namespace, 1, payload(1, 10));
  t.equal(world.shared.blocks.size, 0);
  const statuses = new Uint32Array(1);
  const puts = putsOf({ key: 1, lengthBytes: 10 });
  await session.putFrom(namespace, region, puts, Uint32Array.of(0, 0, UNIT), 1, 'shared', 1000, statuses);
  t.equal(statuses[0], exists);
  t.equal(world.shared.blocks.size, 1);
});
