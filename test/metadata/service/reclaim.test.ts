import type { BlockIO } from '@refill/interface';
import t from 'tap';
import { reclaimSegments } from '../../../packages/store/src/segment/reclaim.ts';
import { FINGERPRINT, keysOf, rowsOf } from '../../fixtures/directory-world.ts';
import { ServiceWorld, type TestNode } from '../../fixtures/service-world.ts';

/** One segment of this node with one block, which is removed: nothing lives there any more. */
async function emptySegment(node: TestNode, id: number): Promise<number> {
  const { directory, cluster } = node;
  const { epoch } = cluster.lease;
  const namespace = (await directory.openNamespace(FINGERPRINT)).index;
  const { index } = await directory.createSegment({
    id: new Uint8Array(16).fill(id),
    namespace,
    node: cluster.lease.node,
    epoch,
    sizeBytes: 8 << 20,
  });
  await directory.commit(cluster.lease.node, epoch, rowsOf(index, id, 1), 1, new Uint8Array(1));
  await directory.moveSegment(index, 'open', 'sealed', 8192);
  await directory.remove(namespace, keysOf(id, 1), 1);
  return index;
}

/** Reclaims as a store does; answers how many files were unlinked. */
function reclaim({ directory, cluster, clock }: TestNode, unlinked: string[]): Promise<number> {
  const io = { unlink: async (path: string) => void unlinked.push(path) } as unknown as BlockIO;
  const files = { whenIdle: async () => {} };
  return reclaimSegments(
    { io, directory, clock, files } as unknown as Parameters<typeof reclaimSegments>[0],
    {
      nodes: new Set([cluster.lease.node]),
      deadlineMs: 1000,
      proceed: () => true,
    },
  );
}

t.test('a segment is unlinked when no node reads what was there before it was condemned', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const unlinked: string[] = [];
  let calls = 0;
  a.cluster.onReclaimable = () => {
    calls++;
    void reclaim(a, unlinked);
  };
  // A read of b holds on to the version of its start.
  await world.clock.advance(3000);
  const version = b.directory.version;
  b.cluster.oldestReadVersion = () => version;
  const segment = await emptySegment(a, 1);
  await world.clock.advance(10_000);
  t.match(world.local.segment(segment), { state: 'dead' }, 'its owner has condemned it');
  t.ok(calls > 0);
  t.equal(a.directory.mayUnlink(segment), false);
  t.same(unlinked, []);
  b.cluster.oldestReadVersion = undefined;
  await world.clock.advance(6000);
  t.equal(unlinked.length, 1);
  t.equal(world.local.segment(segment), undefined);
  await world.clock.advance(3000);
  t.equal(b.directory.segment(segment), undefined, 'every node has heard');
  await world.stop();
});

t.test('a node whose lease has ended holds nothing back, and an heir unlinks what it leaves', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const unlinked: string[] = [];
  b.cluster.onReclaimable = () => void reclaim(b, unlinked);
  const segment = await emptySegment(a, 1);
  a.channel.state = 'silent';
  await world.clock.advance(9000);
  t.same(unlinked, [], 'a lives, as far as is known');
  await world.clock.advance(12_000);
  t.equal(unlinked.length, 1);
  t.equal(world.local.segment(segment), undefined);
  await world.stop();
});

t.test('after a restart nothing is unlinked before every node has said what it reads', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const segment = await emptySegment(a, 1);
  const other = await b.directory.createSegment({
    id: new Uint8Array(16).fill(9),
    namespace: 0,
    node: 'b',
    epoch: b.cluster.lease.epoch,
    sizeBytes: 8 << 20,
  });
  t.ok(other);
  await a.directory.moveSegment(segment, 'sealed', 'dead', 8192);
  b.channel.state = 'silent';
  await world.restart();
  const unlinked: string[] = [];
  a.cluster.onReclaimable = () => void reclaim(a, unlinked);
  await world.clock.advance(8000);
  t.same(unlinked, [], 'b holds an open segment, so it may live');
  await world.clock.advance(8000);
  t.ok(unlinked.length > 0, 'its lease has ended');
  t.equal(world.local.segment(segment), undefined);
  await world.stop();
});

t.test('a segment with a live block is never named', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  const segment = await emptySegment(a, 1);
  await world.clock.advance(2500);
  t.same(
    a.directory.reclaimable(new Set()).map(({ index }) => index),
    [segment],
  );
  await a.directory.commit('a', 1, rowsOf(segment, 5, 1), 1, new Uint8Array(1));
  t.equal(await a.directory.moveSegment(segment, 'sealed', 'dead', 8192), false);
  await world.clock.advance(2500);
  t.same(a.directory.reclaimable(new Set()), []);
  await world.stop();
});

t.test('a segment is condemned only without a live block, and takes none afterwards', async (t) => {
  for (const memoryBudgetBytes of [undefined, 0]) {
    const options = memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes };
    const world = await new ServiceWorld({}, options).start();
    const a = await world.joined('a');
    const { epoch } = a.cluster.lease;
    const segment = await emptySegment(a, 1);
    const commit = (n: number): Promise<void> =>
      a.directory.commit('a', epoch, rowsOf(segment, n, 1), 1, new Uint8Array(1));
    // Both are under way: whichever is decided first, the other sees it.
    const [committed, condemned] = await Promise.allSettled([
      commit(5),
      a.directory.moveSegment(segment, 'sealed', 'dead', 8192),
    ]);
    t.equal(committed.status === 'fulfilled', condemned.status === 'fulfilled' && !condemned.value);
    await a.directory.remove(0, keysOf(5, 1), 1);
    const { state } = world.local.segment(segment)!;
    if (state !== 'dead') t.equal(await a.directory.moveSegment(segment, state, 'dead', 8192), true);
    await t.rejects(commit(6), { code: 'ERR_FENCED' });
    t.equal(world.local.stats.blocks, 0);
    await world.stop();
  }
});

t.test('the owner unlinks and then forgets; nobody else while it holds its lease', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const segment = await emptySegment(a, 1);
  const named: number[] = [];
  b.cluster.onReclaimable = () =>
    void named.push(...b.directory.reclaimable(new Set()).map(({ index }) => index));
  const known: unknown[] = [];
  const unlinked = { push: () => known.push(world.local.segment(segment)?.state) } as unknown as string[];
  const { forgetSegment } = a.directory;
  // The owner dies between the two, and does both again.
  a.directory.forgetSegment = async () => {
    a.directory.forgetSegment = forgetSegment;
    throw new Error('died');
  };
  const failures: unknown[] = [];
  a.cluster.onReclaimable = () => void reclaim(a, unlinked).catch((error) => failures.push(error));
  await world.clock.advance(16_000);
  t.equal(failures.length, 1);
  t.same(known, ['dead', 'dead'], 'the record outlives the file');
  t.equal(world.local.segment(segment), undefined);
  t.same(named, []);
  await world.stop();
});

t.test(
  'a service that has just started lets nothing be unlinked until leases of its former life have ended',
  async (t) => {
    const world = await new ServiceWorld().start();
    const [a, b] = [await world.joined('a'), await world.joined('b')];
    await world.clock.advance(12_000);
    const unlinked: string[] = [];
    a.cluster.onReclaimable = () => void reclaim(a, unlinked);
    const segment = await emptySegment(a, 1);
    // b reads under a lease that the service forgets, and comes back late.
    b.channel.state = 'silent';
    await world.restart();
    await world.clock.advance(9000);
    t.match(world.local.segment(segment), { state: 'dead' });
    t.same(unlinked, []);
    await world.clock.advance(6000);
    t.equal(unlinked.length, 1);
    await world.stop();
  },
);
