import { FILL_ROW_WORDS, FILL_STATUS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { FINGERPRINT, keysOf, rowsOf } from '../../fixtures/directory-world.ts';
import { settle } from '../../fixtures/manual-clock.ts';
import { ServiceWorld, type TestNode } from '../../fixtures/service-world.ts';

/** Makes a node hold blocks `from .. from + count` in memory, also when it is asked anew. */
function holds(node: TestNode, from: number, count: number): void {
  const keys = keysOf(from, count);
  const before = node.cluster.residents;
  node.cluster.residents = (note) => {
    before?.(note);
    for (let i = 0; i < count; i++) note(0, keys, 8 * i);
  };
  for (let i = 0; i < count; i++) node.cluster.noteResident(0, keys, 8 * i, true);
}

async function holdersOf(node: TestNode, n: number): Promise<number[]> {
  const row = new Uint32Array(LOCATION_ROW_WORDS);
  await node.directory.lookup(0, keysOf(n, 1), 1, row);
  const [lo, hi] = [row[LOCATION_ROW.holdersLo]!, row[LOCATION_ROW.holdersHi]!];
  return [lo & 0xffff, lo >>> 16, hi & 0xffff, hi >>> 16].filter((slot) => slot > 0).sort();
}

const statuses = (rows: Uint32Array): number[] =>
  Array.from({ length: rows.length / FILL_ROW_WORDS }, (_, i) => rows[i * FILL_ROW_WORDS]!);

async function acquire(node: TestNode, from: number, count: number, holder: number): Promise<number[]> {
  const rows = new Uint32Array(count * FILL_ROW_WORDS);
  await node.cluster.acquireFills(0, keysOf(from, count), count, holder, 5000, rows, 1000);
  return statuses(rows);
}

t.test('lookups name the nodes that hold a block, until they lose it or go', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b, c] = [await world.joined('a'), await world.joined('b'), await world.joined('c')];
  holds(a, 0, 10);
  holds(b, 5, 10);
  await world.clock.advance(2500);
  t.same(await holdersOf(c, 0), [1]);
  t.same(await holdersOf(c, 7), [1, 2]);
  t.same(await holdersOf(c, 14), [2]);
  t.same(await holdersOf(c, 15), []);
  a.cluster.noteResident(0, keysOf(7, 1), 0, false);
  await world.clock.advance(2500);
  t.same(await holdersOf(c, 7), [2]);
  b.channel.state = 'silent';
  await world.clock.advance(12_000);
  t.same(await holdersOf(c, 7), []);
  t.same(await holdersOf(c, 5), [1]);
  await world.clock.advance(20_000);
  t.equal(world.service.status.residentBlocks, 9, 'what only b held is cleaned');
  await world.stop();
});

t.test('locate ranks by the prefix and then by all that a node holds', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b, c] = [await world.joined('a'), await world.joined('b'), await world.joined('c')];
  holds(a, 0, 4);
  holds(b, 0, 8);
  holds(c, 1, 15);
  await world.clock.advance(2500);
  const shares = await a.cluster.locate(0, keysOf(0, 16), 16, 5, 1000);
  t.same(
    shares.map(({ member, prefixBlocks, blocks }) => [member.node, prefixBlocks, blocks]),
    [
      ['b', 8, 8],
      ['a', 4, 4],
      ['c', 0, 15],
    ],
  );
  t.equal((await a.cluster.locate(0, keysOf(0, 16), 16, 1, 1000)).length, 1);
  await world.stop();
});

t.test('a service that forgot is told everything anew', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  holds(a, 0, 40_000);
  await world.clock.advance(2500);
  t.equal(world.service.status.residentBlocks, 40_000, 'more than one heartbeat takes');
  await world.restart();
  t.equal(world.service.status.residentBlocks, 0);
  await world.clock.advance(5000);
  t.equal(world.service.status.residentBlocks, 40_000);
  await world.stop();
});

t.test('one caller computes a block, others wait until it is there', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await a.directory.openNamespace(FINGERPRINT);
  t.same(await acquire(a, 0, 3, 1), [FILL_STATUS.granted, FILL_STATUS.granted, FILL_STATUS.granted]);
  t.same(await acquire(a, 0, 1, 1), [FILL_STATUS.granted], 'its own, once more');
  t.same(await acquire(a, 0, 1, 2), [FILL_STATUS.held], 'another client of the same node');
  t.same(await acquire(b, 2, 2, 1), [FILL_STATUS.held, FILL_STATUS.granted]);
  let present: number | undefined;
  const waiting = b.cluster.awaitFills(0, keysOf(0, 3), 3, 4000).then((count) => (present = count));
  await settle();
  const { epoch } = a.cluster.lease;
  const { index } = await a.directory.createSegment({
    id: new Uint8Array(16).fill(1),
    namespace: 0,
    node: 'a',
    epoch,
    sizeBytes: 8 << 20,
  });
  await a.directory.commit('a', epoch, rowsOf(index, 0, 2), 2, new Uint8Array(2));
  await settle();
  t.equal(present, undefined, 'one is still computed');
  holds(a, 2, 1);
  await world.clock.advance(2100);
  await waiting;
  t.equal(present, 3, 'in a segment or in memory');
  t.same(await acquire(b, 0, 3, 1), [FILL_STATUS.present, FILL_STATUS.present, FILL_STATUS.present]);
  await world.stop();
});

t.test('a fill lease ends by its life, by release, and with its node', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await acquire(a, 0, 1, 1);
  const byLife = b.cluster.awaitFills(0, keysOf(0, 1), 1, 9000);
  await world.clock.advance(6000);
  t.equal(await byLife, 0);
  t.same(await acquire(b, 0, 1, 1), [FILL_STATUS.granted]);
  b.cluster.releaseFills(1);
  await settle();
  t.same(await acquire(a, 0, 1, 7), [FILL_STATUS.granted]);
  t.equal(world.service.status.fillLeases, 1);
  await a.cluster.stop();
  t.equal(world.service.status.fillLeases, 0, 'it left');
  t.same(await acquire(b, 0, 1, 2), [FILL_STATUS.granted]);
  await t.rejects(acquire(a, 1, 1, 1), { code: 'ERR_FENCED' }, 'no lease, no fill lease');
  await world.stop();
});

t.test('who waits is answered at the deadline', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const rows = new Uint32Array(FILL_ROW_WORDS);
  await a.cluster.acquireFills(0, keysOf(0, 1), 1, 1, 60_000, rows, 1000);
  let present: number | undefined;
  void b.cluster.awaitFills(0, keysOf(0, 1), 1, 12_000).then((count) => (present = count));
  await world.clock.advance(11_000);
  t.equal(present, undefined);
  await world.clock.advance(1000);
  t.equal(present, 0);
  await world.stop();
});
