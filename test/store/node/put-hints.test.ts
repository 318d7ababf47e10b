import {
  type Durability,
  LOOKUP_ROW,
  LOOKUP_ROW_WORDS,
  LOOKUP_TIER,
  PUT_STATUS,
  type PutHints,
  ROW_STATUS,
} from '@refill/interface';
import t from 'tap';
import {
  createWorld,
  get,
  keysOf,
  openSession,
  payload,
  put,
  UNIT,
  type World,
} from '../../fixtures/node-world.ts';

type Opened = Awaited<ReturnType<typeof openSession>> & { world: World };

async function opened(units = 8): Promise<Opened> {
  const world = await createWorld({ paneUnits: [units] });
  return { world, ...(await openSession(world)) };
}

async function putHinted(
  { world, session, namespace }: Opened,
  key: number,
  hints: PutHints,
  durability: Durability = 'memory',
): Promise<number> {
  const outcome = await put(world, session, namespace, key, payload(key, UNIT), durability, 1000, hints);
  await world.clock.advance(100);
  return outcome;
}

async function tierOf({ session, namespace }: Opened, key: number): Promise<number> {
  const rows = new Uint32Array(LOOKUP_ROW_WORDS);
  await session.lookup(namespace, keysOf(key), 1, rows);
  return rows[LOOKUP_ROW.tier]!;
}

async function statusOf(at: Opened, key: number): Promise<number> {
  const [row] = await get(at.world, at.session, at.namespace, [key]);
  if (row!.status === ROW_STATUS.hit) at.session.release(Uint32Array.of(row!.slot), 1);
  return row!.status;
}

t.test('tier shared: first to leave DRAM once it is stored, and still there', async (t) => {
  const at = await opened();
  await putHinted(at, 1, {});
  await putHinted(at, 2, { tier: 'shared' });
  for (let key = 3; key <= 8; key++) await putHinted(at, key, {});
  t.equal(await tierOf(at, 2), LOOKUP_TIER.dram);
  await putHinted(at, 9, {});
  t.equal(await tierOf(at, 2), LOOKUP_TIER.shared, 'it made the room');
  t.equal(await tierOf(at, 1), LOOKUP_TIER.dram, 'an older one stayed');
});

t.test('tier shared: one that is read after all stays like others', async (t) => {
  const at = await opened();
  await putHinted(at, 1, {});
  await putHinted(at, 2, { tier: 'shared' });
  t.equal(await statusOf(at, 2), ROW_STATUS.hit);
  for (let key = 3; key <= 9; key++) await putHinted(at, key, {});
  t.equal(await tierOf(at, 2), LOOKUP_TIER.dram);
  t.equal(await tierOf(at, 1), LOOKUP_TIER.shared);
});

t.test('tier dram: never written, lost when it is evicted', async (t) => {
  const at = await opened();
  t.equal(await putHinted(at, 1, { tier: 'dram' }), PUT_STATUS.stored);
  await at.world.clock.advance(120_000);
  t.equal(await at.session.flush(1000), 0, 'nothing is owed to the shared file system');
  t.equal(at.world.shared.blocks.size, 0);
  t.equal(await statusOf(at, 1), ROW_STATUS.hit);
  // Used once, so two rounds of newcomers push it out.
  for (let key = 2; key <= 24; key++) await putHinted(at, key, {});
  t.equal(await statusOf(at, 1), ROW_STATUS.miss);
});

t.test('tier dram: a later put that is to be durable makes it so', async (t) => {
  const at = await opened();
  await putHinted(at, 1, { tier: 'dram' });
  const statuses = new Uint32Array(1);
  const waiting = at.session.awaitStored(at.namespace, keysOf(1), 1, 1000, statuses);
  await at.world.clock.advance(100);
  await waiting;
  t.equal(statuses[0], PUT_STATUS.exists);
  t.equal(at.world.shared.blocks.size, 1);
});

t.test('pin: in DRAM from the put on, until unpin or the end of the session', async (t) => {
  const at = await opened();
  await putHinted(at, 1, { pin: true });
  for (let key = 2; key <= 30; key++) await putHinted(at, key, {});
  t.equal(await tierOf(at, 1), LOOKUP_TIER.dram);
  t.equal(at.world.node.status().arena.pinnedBytes, UNIT);
  t.equal(at.session.unpin(at.namespace, keysOf(1), 1), 1);
  t.equal(at.world.node.status().arena.pinnedBytes, 0);
  await putHinted(at, 31, { pin: true }, 'shared');
  t.match(at.world.node.status(), { arena: { pinnedBytes: UNIT }, hints: { pinned: 2, pinsRefused: 0 } });
  at.session.close();
  t.equal(at.world.node.status().arena.pinnedBytes, 0);
});

t.test('pin: beyond the pins of a session the put succeeds without', async (t) => {
  const world = await createWorld({ paneUnits: [8], pinsPerSessionMax: 1 });
  const at = { world, ...(await openSession(world)) };
  t.equal(await putHinted(at, 1, { pin: true }), PUT_STATUS.stored);
  t.equal(await putHinted(at, 2, { pin: true }), PUT_STATUS.stored);
  t.match(world.node.status(), { arena: { pinnedBytes: UNIT }, hints: { pinned: 1, pinsRefused: 1 } });
});

t.test('pin: of a durable put that failed nothing stays pinned', async (t) => {
  const at = await opened();
  at.world.shared.outcomeOfStore = () => PUT_STATUS.failed;
  t.equal(await putHinted(at, 1, { pin: true }, 'shared'), PUT_STATUS.failed);
  t.match(at.world.node.status().arena, { pinnedBytes: 0, usedBytes: 0 });
});

t.test('pin: slots that nobody wants pinned any more', async (t) => {
  const at = await opened();
  await putHinted(at, 1, { pin: true });
  at.session.unpinSlots(Uint32Array.of(0, 1, 2, 99), 4);
  t.equal(at.world.node.status().arena.pinnedBytes, 0);
  at.session.unpinSlots(Uint32Array.of(0), 1);
});

t.test('hints of other nodes do nothing on a node that is alone, and are counted', async (t) => {
  const at = await opened();
  t.equal(await putHinted(at, 1, { node: 'b', replicas: 3 }), PUT_STATUS.stored);
  t.match(at.world.node.status().hints, { unplaced: 2, offered: 0, placed: 0 });
  await putHinted(at, 2, { node: 'a', replicas: 1 });
  t.equal(at.world.node.status().hints.unplaced, 2, 'this node has it');
});

t.test('hints that cannot be meant are refused before anything is done', async (t) => {
  const { session } = await opened();
  const commit = (durability: Durability, hints: PutHints): unknown =>
    session.commit(Uint32Array.of(77), 1, durability, 1000, new Uint32Array(1), hints);
  t.throws(() => commit('shared', { tier: 'dram' }), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /tier is 'dram'/,
  });
  t.throws(() => commit('memory', { ttlMs: 2 ** 32 - 1 }), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /ttlMs/,
  });
  t.throws(() => commit('memory', { replicas: 17 }), { code: 'ERR_INVALID_ARGUMENT', message: /replicas/ });
  t.throws(() => commit('memory', {}), { code: 'ERR_HANDLE_UNKNOWN' });
});
