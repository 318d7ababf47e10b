import { readFileSync } from 'node:fs';
import { MemoryEngine } from '@refill/metadata';
import { createSharedTier, rebuildDirectory } from '@refill/store';
import t from 'tap';
import { DirectoryWorld, FINGERPRINT } from '../../fixtures/directory-world.ts';
import { SAMPLE_BLOCKS, sampleSegment } from '../../fixtures/sample-segment.ts';
import { SimDisk, SimFile } from '../../fixtures/sim-disk.ts';
import { blockOf, keyOf, sameBlock, TierWorld } from '../../fixtures/tier-world.ts';

const PAYLOAD_BYTES = 2 ** 21;

/** A node over this disk whose database was lost. */
async function rebuilt(disk: SimDisk, times = 1): Promise<TierWorld> {
  const world = new TierWorld({
    disk,
    world: new DirectoryWorld(new MemoryEngine()),
    payloadBytes: PAYLOAD_BYTES,
  });
  await world.boot();
  const parts = { io: world.io, directory: world.directory, scratch: world.scratch, clock: world.clock };
  for (let i = 0; i < times; i++) await rebuildDirectory(parts);
  world.epoch = await world.directory.acquireEpoch('node-a');
  await world.open();
  return world;
}

async function holdsSample(
  t: { ok: (value: boolean, name: string) => void },
  world: TierWorld,
): Promise<void> {
  const loaded = await world.load([...SAMPLE_BLOCKS.map(({ n }) => keyOf(n)), keyOf(9)]);
  for (const [i, { n, lengthBytes }] of SAMPLE_BLOCKS.entries()) {
    t.ok(sameBlock(loaded[i], blockOf(n, lengthBytes)), `block ${n}`);
  }
  t.ok(loaded.at(-1) === undefined, 'what was removed stays removed');
}

/** A disk with the one segment of a golden file. */
function goldenDisk(name: string): SimDisk {
  const disk = new SimDisk();
  const file = new SimFile(8 * 2 ** 20);
  const lines = readFileSync(new URL(`../../golden/segment-v1/${name}`, import.meta.url), 'utf8').split('\n');
  const path = /^# ([^;]+);/.exec(lines[0]!)![1]!;
  for (const line of lines.slice(1)) {
    const [page, bytes] = line.split(' ');
    if (bytes !== undefined) file.pages.set(Number(page), new Uint8Array(Buffer.from(bytes, 'base64')));
  }
  disk.files.set(path, file);
  return disk;
}

t.test('a segment written by version 1 is opened by its bytes alone', async (t) => {
  const world = await rebuilt(goldenDisk('sample.txt'));
  await holdsSample(t, world);
  t.equal(world.directory.namespaces()[0]!.fingerprint.name, 'tests', 'the namespace is restored');
  await world.close();
});

t.test('so is one whose tombstones name what they bury', async (t) => {
  const world = await rebuilt(goldenDisk('buried.txt'));
  await holdsSample(t, world);
  const { pages } = await sampleSegment();
  const today = [...pages]
    .sort(([a], [b]) => a - b)
    .map(([page, bytes]) => `${page} ${Buffer.from(bytes).toString('base64')}`);
  const golden = readFileSync(new URL('../../golden/segment-v1/buried.txt', import.meta.url), 'utf8').trim();
  t.same(today, golden.split('\n').slice(1), 'today the same bytes are written');
  await world.close();
});

t.test('without its footer a segment is read by its batch headers', async (t) => {
  const { world: writer, pages } = await sampleSegment();
  pages.delete(8 * 256 - 1);
  const world = await rebuilt(writer.disk);
  await holdsSample(t, world);
  t.equal(world.directory.segments()[0]!.state, 'abandoned');
  await world.close();
});

t.test('running it again changes nothing', async (t) => {
  const { world: writer } = await sampleSegment();
  const world = await rebuilt(writer.disk, 2);
  await holdsSample(t, world);
  t.equal(world.directory.stats.segments, 1);
  await world.close();
});

t.test('the new epoch is above all that wrote segments', async (t) => {
  const { world: writer } = await sampleSegment();
  const world = await rebuilt(writer.disk);
  t.ok(world.epoch > writer.epoch);
  await world.close();
});

t.test('a rebuild keeps the indexes of namespaces, and their policies as they were set last', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot();
  await world.directory.openNamespace({ ...FINGERPRINT, name: 'without-a-segment' });
  await world.open();
  t.equal(world.namespace, 1);
  await world.store([blockOf(1, 5000)]);
  await world.tier.seal();
  await world.directory.openNamespace(FINGERPRINT, { compress: true });
  const { io, directory, scratch, clock } = world;
  await rebuildDirectory({ io, directory, scratch, clock });
  t.match(directory.namespace(0)?.fingerprint, { name: 'without-a-segment' });
  t.match(directory.namespace(1), { fingerprint: { name: 'tests' }, policy: { compress: true }, blocks: 1 });
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000)), 'under the index of before');
  await world.close();
});

t.test(
  'a block that a node of an earlier epoch deleted stays deleted, and one put again after that stays',
  async (t) => {
    const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
    await world.boot();
    await world.open();
    const { io, directory, scratch, clock, random } = world;
    const chance = { bytes: (of: Uint8Array) => of.map(() => random() * 256) as never, unit: random };
    const epoch = await directory.acquireEpoch('node-b');
    const later = createSharedTier(
      { io, directory, scratch, clock, chance },
      { node: 'node-b', epoch, segmentBytes: 8 * 2 ** 20 },
    );
    await later.start();
    const put = async (n: number): Promise<void> => {
      const rows = world.storeRows([blockOf(n, 5000)]);
      await later.store(rows, 1, { behind: false });
    };
    for (const n of [1, 2, 3]) await put(n);
    t.equal(await world.tier.remove(world.namespace, keyOf(1), 1), 1);
    t.equal(await world.tier.remove(world.namespace, keyOf(2), 1), 1);
    await put(2);
    await world.tier.seal();
    await later.stop();
    const segments = directory.segments().map((segment) => [segment.node, segment.epoch]);
    t.same(
      segments.sort(),
      [
        ['node-a', epoch - 1],
        ['node-b', epoch],
      ].sort(),
    );
    await rebuildDirectory({ io, directory, scratch, clock });
    t.same(await world.load([keyOf(1)]), [undefined]);
    for (const n of [2, 3])
      t.ok(sameBlock((await world.load([keyOf(n)]))[0], blockOf(n, 5000)), `block ${n}`);
    await world.close();
  },
);
