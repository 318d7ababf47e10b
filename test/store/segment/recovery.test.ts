import { PUT_STATUS } from '@refill/interface';
import { createSharedTier, recoverSegments } from '@refill/store';
import t from 'tap';
import { blockOf, keyOf, sameBlock, TierWorld } from '../../fixtures/tier-world.ts';

const PAYLOAD_BYTES = 2 ** 21;

/** A node that stored blocks and ended without sealing, and the next incarnation of its root, not recovered yet. */
async function leftOpen(blocks: number[]): Promise<TierWorld> {
  const first = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await first.boot();
  await first.open();
  for (const n of blocks) await first.store([blockOf(n, 5000)]);
  const next = new TierWorld({ disk: first.disk, world: first.world, payloadBytes: PAYLOAD_BYTES });
  await next.boot();
  return next;
}

const partsOf = ({ io, directory, scratch, clock }: TierWorld) => ({ io, directory, scratch, clock });

/** The tier of `node` in the place of node-a's. */
async function openAs(
  world: TierWorld,
  node: string,
  epoch: number,
  formerNodes: string[] = [],
): Promise<void> {
  await world.open();
  await world.tier.stop();
  world.tier = createSharedTier(
    {
      ...partsOf(world),
      chance: { bytes: (of) => of.map(() => world.random() * 256) as never, unit: world.random },
    },
    { node, epoch, segmentBytes: 8 * 2 ** 20, formerNodes },
  );
  await world.tier.start();
}

t.test('what another node left open is closed when nobody runs under its name', async (t) => {
  const world = await leftOpen([1, 2]);
  await world.directory.remove(0, keyOf(2), 1);
  const epoch = await world.directory.acquireEpoch('node-b');
  const asked: string[] = [];
  const report = await recoverSegments(partsOf(world), {
    node: 'node-b',
    epoch,
    isFormer: async (name) => asked.push(name) > 0,
  });
  t.match(report, { segments: 1, blocks: 2, formerNodes: ['node-a'], foreign: 0, unreadable: 0 });
  t.same(asked, ['node-a']);
  t.equal(world.directory.segments()[0]!.state, 'abandoned');
  await openAs(world, 'node-b', epoch, report.formerNodes);
  for (const n of [1, 2]) t.ok(sameBlock((await world.load([keyOf(n)]))[0], blockOf(n, 5000)));
  await world.close();
});

t.test('a former node is fenced before its segments are closed', async (t) => {
  const world = await leftOpen([1]);
  const before = world.epoch;
  const epoch = await world.directory.acquireEpoch('node-b');
  await recoverSegments(partsOf(world), { node: 'node-b', epoch, isFormer: async () => true });
  const segment = {
    id: new Uint8Array(16).fill(3),
    namespace: 0,
    node: 'node-a',
    epoch: before,
    sizeBytes: 8 << 20,
  };
  await t.rejects(world.directory.createSegment(segment), { code: 'ERR_FENCED' });
  await world.directory.stop();
});

t.test('what a node left open that may still run is left alone, and said', async (t) => {
  const world = await leftOpen([1]);
  const epoch = await world.directory.acquireEpoch('node-b');
  const said: string[] = [];
  const log = { error: (format: string, ...args: unknown[]) => void said.push([format, ...args].join(' ')) };
  for (const isFormer of [undefined, async () => false]) {
    const report = await recoverSegments({ ...partsOf(world), log }, { node: 'node-b', epoch, isFormer });
    t.match(report, { segments: 0, formerNodes: [], foreign: 1 });
  }
  t.match(said[0], /node-a/);
  t.equal(world.directory.segments()[0]!.state, 'open');
  await world.directory.stop();
});

t.test('a block removed under a new name stays removed, also after a rebuild', async (t) => {
  const world = await leftOpen([1, 2]);
  // Some more lives of node-a, so that its epochs are far above those of a name that is new.
  for (let i = 0; i < 3; i++) world.epoch = await world.directory.acquireEpoch('node-a');
  const epoch = await world.directory.acquireEpoch('node-b');
  await recoverSegments(partsOf(world), { node: 'node-b', epoch, isFormer: async () => true });
  await openAs(world, 'node-b', epoch);
  t.equal(await world.tier.remove(0, keyOf(1), 1), 1);
  await world.tier.seal();
  const { rebuildDirectory } = await import('@refill/store');
  await rebuildDirectory(partsOf(world));
  t.same(await world.load([keyOf(1)]), [undefined]);
  t.ok(sameBlock((await world.load([keyOf(2)]))[0], blockOf(2, 5000)));
  await world.close();
});

t.test('space of a former node is reclaimed', async (t) => {
  const world = await leftOpen([1]);
  const epoch = await world.directory.acquireEpoch('node-b');
  const { formerNodes } = await recoverSegments(partsOf(world), {
    node: 'node-b',
    epoch,
    isFormer: async () => true,
  });
  await world.directory.remove(0, keyOf(1), 1);
  await openAs(world, 'node-b', epoch, formerNodes);
  await world.tier.reclaim();
  t.equal(world.disk.files.size, 0);
  await world.close();
});

t.test('a damaged header page keeps no block of an open segment from being found', async (t) => {
  const world = await leftOpen([1, 2, 3]);
  await world.directory.remove(0, keyOf(1), 1);
  [...world.disk.files.values()][0]!.pages.get(0)![700]! ^= 4;
  const report = await recoverSegments(partsOf(world), { node: 'node-a', epoch: world.epoch });
  t.match(report, { segments: 1, blocks: 3, gaps: 0 });
  await world.open();
  for (const n of [1, 2, 3]) t.ok(sameBlock((await world.load([keyOf(n)]))[0], blockOf(n, 5000)));
  await world.close();
});

t.test('a damaged batch header costs its batch, is counted, and what lies behind it is found', async (t) => {
  const world = await leftOpen([1, 2, 3]);
  for (const n of [1, 2, 3]) await world.directory.remove(0, keyOf(n), 1);
  const { pages } = [...world.disk.files.values()][0]!;
  pages.get(4)![200]! ^= 4;
  const report = await recoverSegments(partsOf(world), { node: 'node-a', epoch: world.epoch });
  t.match(report, { segments: 1, blocks: 2, gaps: 1, skippedBytes: 3 * 4096 });
  await world.open();
  t.same(await world.load([keyOf(2)]), [undefined]);
  for (const n of [1, 3]) t.ok(sameBlock((await world.load([keyOf(n)]))[0], blockOf(n, 5000)));
  await world.close();
});

t.test('a segment that cannot be read stays open, is told, and is closed the next time', async (t) => {
  const world = await leftOpen([1]);
  world.io.options.fault = (op) => (op.kind === 'read' ? { errno: 5 } : undefined);
  t.match(await recoverSegments(partsOf(world), { node: 'node-a', epoch: world.epoch }), {
    segments: 0,
    unreadable: 1,
  });
  t.equal(world.directory.segments()[0]!.state, 'open');
  world.io.options.fault = undefined;
  t.match(await recoverSegments(partsOf(world), { node: 'node-a', epoch: world.epoch }), {
    segments: 1,
    unreadable: 0,
  });
  await world.directory.stop();
});

t.test('nothing is ever written to a segment that is recovered', async (t) => {
  const world = await leftOpen([1, 2]);
  const changes: string[] = [];
  world.io.options.fault = ({ kind }) => {
    if (['write', 'sync', 'create', 'unlink'].includes(kind)) changes.push(kind);
    return undefined;
  };
  await recoverSegments(partsOf(world), { node: 'node-a', epoch: world.epoch });
  await world.open();
  t.same(changes, []);
  t.same(await world.store([blockOf(3, 5000)]), [PUT_STATUS.stored]);
  t.equal(world.disk.files.size, 2, 'what is put next goes into a file of its own');
  await world.close();
});

t.test('payloads behind the last synced mark are verified, those below are trusted', async (t) => {
  const world = await leftOpen([1, 2, 3]);
  for (const n of [1, 2, 3]) await world.directory.remove(0, keyOf(n), 1);
  const { pages } = [...world.disk.files.values()][0]!;
  // The last header knows of two batches: a page of the second and one of the third are bad.
  pages.get(5)![9]! ^= 1;
  pages.get(8)![9]! ^= 1;
  const report = await recoverSegments(partsOf(world), { node: 'node-a', epoch: world.epoch });
  t.match(report, { blocks: 2, torn: 1 });
  await world.open();
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000)));
  t.equal(typeof (await world.load([keyOf(2)]))[0], 'number', 'trusted, and found out by the reader');
  t.same(await world.load([keyOf(3)]), [undefined]);
  await world.close();
});

t.test('of a file that was cut short nothing is trusted beyond its end', async (t) => {
  const world = await leftOpen([1, 2, 3]);
  for (const n of [1, 2, 3]) await world.directory.remove(0, keyOf(n), 1);
  const file = [...world.disk.files.values()][0]!;
  // Within the payload of the second batch; the mark in the third header is cut off as well, one in its place is not.
  file.sizeBytes = 6 * 4096 + 512;
  for (const page of file.pages.keys()) if (page > 5) file.pages.delete(page);
  const report = await recoverSegments(partsOf(world), { node: 'node-a', epoch: world.epoch });
  t.match(report, { segments: 1, blocks: 1, torn: 1, unreadable: 0 });
  t.equal(world.directory.segments()[0]!.endBytes, 6 * 4096);
  await world.directory.stop();
});

t.test('a segment whose commits were durable is closed, and nothing of it is committed again', async (t) => {
  const first = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await first.boot();
  const create = first.directory.createSegment.bind(first.directory);
  first.directory.createSegment = (fields) => create({ ...fields, durableCommits: true });
  await first.open();
  for (const n of [1, 2]) await first.store([blockOf(n, 5000)]);
  // As another node deletes it: the tombstone lies in a segment of that node.
  await first.directory.remove(0, keyOf(2), 1, { durable: true });
  const world = new TierWorld({ disk: first.disk, world: first.world, payloadBytes: PAYLOAD_BYTES });
  await world.boot();
  const report = await recoverSegments(partsOf(world), { node: 'node-a', epoch: world.epoch });
  t.match(report, { segments: 1, blocks: 0, foreign: 0, unreadable: 0 });
  t.match(world.directory.segments()[0], { state: 'abandoned' });
  await world.open();
  const [kept, deleted] = await world.load([keyOf(1), keyOf(2)]);
  t.ok(sameBlock(kept, blockOf(1, 5000)), 'what was committed stays');
  t.equal(deleted, undefined, 'what was deleted does not come back');
  await world.close();
});
