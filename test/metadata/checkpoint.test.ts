import { LevelEngine, MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { DirectoryWorld, keysOf, openSegment, rowsOf } from '../fixtures/directory-world.ts';
import { seededRandom } from '../fixtures/seeded-random.ts';

const random = seededRandom(t);
const BLOCKS = 2000;

/** A directory with blocks of which number 7 was used an hour after the others. */
async function filled(engine = new MemoryEngine()): Promise<DirectoryWorld> {
  const world = new DirectoryWorld(engine);
  await world.directory.start();
  const { epoch, segment } = await openSegment(world.directory);
  await world.directory.commit('node-a', epoch, rowsOf(segment, 0, BLOCKS), BLOCKS, new Uint8Array(BLOCKS), {
    durable: true,
  });
  world.wallMs += 3_600_000;
  const rows = new Uint32Array(10);
  await world.directory.lookup(0, keysOf(7, 1), 1, rows);
  world.directory.touch(rows.subarray(9), 1);
  return world;
}

const checkpointFiles = (world: DirectoryWorld): string[] =>
  [...world.files.content.keys()].filter((path) => path.startsWith('checkpoints/'));

t.test('a clean stop leaves a checkpoint; the next start reads it and no block record', async (t) => {
  const engine = new MemoryEngine();
  const world = await filled(engine);
  const scans: number[] = [];
  const scan = engine.scan.bind(engine);
  engine.scan = (range) => {
    scans.push(range.gte[0]!);
    return scan(range);
  };
  const before = { ...world.directory.stats };
  await world.restart();
  t.notOk(scans.includes(0x62));
  t.same(world.directory.stats, { ...before, indexBytes: world.directory.stats.indexBytes });
  t.equal(world.directory.lastUsedMs(0, keysOf(7, 1)), world.wallMs);
  t.equal(world.directory.lastUsedMs(0, keysOf(8, 1)), world.wallMs - 3_600_000);
  t.equal(world.directory.lastUsedMs(0, keysOf(BLOCKS, 1)), undefined);
  await world.directory.stop();
});

t.test('after a crash the records are read and recency comes from the last checkpoint', async (t) => {
  const engine = new MemoryEngine();
  const world = await filled(engine);
  await world.directory.checkpoint();
  await world.directory.remove(0, keysOf(3, 1), 1);
  // Durable with all calls before it.
  await engine.clear({ gte: Uint8Array.of(0), lt: Uint8Array.of(0) });
  engine.crash();
  await world.fresh().start();
  t.match(world.directory.stats, { blocks: BLOCKS - 1, damaged: 0 });
  t.equal(world.directory.lastUsedMs(0, keysOf(7, 1)), world.wallMs);
  await world.directory.stop();
});

t.test('a checkpoint from before a crash is never taken for the index', async (t) => {
  const engine = new MemoryEngine();
  const world = await filled(engine);
  await world.restart();
  await world.directory.remove(0, keysOf(3, 1), 1);
  await engine.write([{ key: Uint8Array.of(0), value: undefined }], { durable: true });
  engine.crash();
  await world.fresh().start();
  t.equal(await world.directory.matchPrefix(0, keysOf(0, BLOCKS), BLOCKS), 3);
  await world.directory.stop();
});

t.test('older generations go when a newer one is whole', async (t) => {
  const world = await filled();
  for (let i = 0; i < 3; i++) await world.directory.checkpoint();
  t.same(checkpointFiles(world).sort(), ['checkpoints/0000000003-000000', 'checkpoints/0000000003.manifest']);
  world.files.fail = (call, path) => {
    if (call === 'writeFile' && path.endsWith('.manifest')) throw new Error('crash');
  };
  await t.rejects(world.directory.checkpoint(), /crash/);
  t.ok(world.files.content.has('checkpoints/0000000003.manifest'));
  world.files.fail = () => {};
  await world.restart();
  t.equal(world.directory.stats.blocks, BLOCKS);
  t.equal(checkpointFiles(world).length, 2);
  await world.directory.stop();
});

t.test('any flipped bit and any truncation is noticed; the records are read instead', async (t) => {
  for (let round = 0; round < 40; round++) {
    const world = await filled();
    const before = { ...world.directory.stats };
    await world.directory.stop();
    const paths = checkpointFiles(world);
    const path = paths[(random() * paths.length) | 0]!;
    const bytes = world.files.content.get(path)!;
    const at = (random() * bytes.length) | 0;
    if (round % 4 === 0) world.files.content.set(path, bytes.subarray(0, at));
    else bytes[at]! ^= 1 << (random() * 8);
    await world.fresh().start();
    const { blocks, bytes: stored, damaged } = world.directory.stats;
    // The last byte of a manifest is a line end that nothing depends on.
    if (blocks !== before.blocks || stored !== before.bytes)
      return t.fail(`${path} at ${at}: ${blocks} blocks`);
    if (damaged === 0 && at !== bytes.length - 1) return t.fail(`${path} at ${at}: not noticed`);
    if (damaged !== world.log.length) return t.fail('each damage is logged');
    await world.directory.stop();
  }
  t.pass();
});

t.test('a checkpoint that cannot be written does not keep the directory from stopping', async (t) => {
  const world = await filled();
  world.files.fail = (call) => {
    if (call === 'writeFile') throw new Error('no space');
  };
  await world.directory.stop();
  t.match(world.log, [/no checkpoint at stop/]);
  world.files.fail = () => {};
  await world.fresh().start();
  t.equal(world.directory.stats.blocks, BLOCKS);
  await world.directory.stop();
});

t.test('parts beyond one are written and read', async (t) => {
  const world = new DirectoryWorld(new LevelEngine({ path: t.testdir() }));
  await world.directory.start();
  const { epoch, segment } = await openSegment(world.directory);
  const count = 70_000;
  await world.directory.commit('node-a', epoch, rowsOf(segment, 0, count), count, new Uint8Array(count));
  await world.restart();
  t.equal(checkpointFiles(world).length, 3);
  t.equal(await world.directory.matchPrefix(0, keysOf(0, count), count), count);
  await world.directory.stop();
});
