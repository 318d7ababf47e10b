import { readFileSync } from 'node:fs';
import { MemoryEngine } from '@refill/metadata';
import { rebuildDirectory } from '@refill/store';
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

t.test('a segment written by version 1 is opened by its bytes alone', async (t) => {
  const disk = new SimDisk();
  const file = new SimFile(8 * 2 ** 20);
  const lines = readFileSync(new URL('../../golden/segment-v1/sample.txt', import.meta.url), 'utf8').split(
    '\n',
  );
  const path = /^# ([^;]+);/.exec(lines[0]!)![1]!;
  for (const line of lines.slice(1)) {
    const [page, bytes] = line.split(' ');
    if (bytes !== undefined) file.pages.set(Number(page), new Uint8Array(Buffer.from(bytes, 'base64')));
  }
  disk.files.set(path, file);
  const world = await rebuilt(disk);
  await holdsSample(t, world);
  t.equal(world.directory.namespaces()[0]!.fingerprint.name, 'tests', 'the namespace is restored');
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
