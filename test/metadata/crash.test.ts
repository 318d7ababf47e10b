import { KEY_WORDS, LOCATION_ROW_WORDS } from '@refill/interface';
import { LevelEngine, MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { DirectoryWorld, keysOf, openSegment, rowsOf } from '../fixtures/directory-world.ts';
import { seededRandom } from '../fixtures/seeded-random.ts';

const random = seededRandom(t);
const BLOCKS = 60;

/** Counts kept with the catalogue, and the same added up from what can be looked up. */
async function countsAgree(world: DirectoryWorld): Promise<string | undefined> {
  const { directory } = world;
  const rows = new Uint32Array(BLOCKS * LOCATION_ROW_WORDS);
  await directory.lookup(0, keysOf(0, BLOCKS), BLOCKS, rows);
  const live = new Map<number, [blocks: number, bytes: number]>();
  for (let i = 0; i < BLOCKS; i++) {
    const [found, segment, page, , stored] = rows.subarray(i * LOCATION_ROW_WORDS);
    if (found === 0) continue;
    if (directory.segment(segment!) === undefined) return `block ${i} lies in an unknown segment`;
    if (page !== i + 1) return `block ${i} is at page ${page}`;
    const [blocks, bytes] = live.get(segment!) ?? [0, 0];
    live.set(segment!, [blocks + 1, bytes + stored!]);
  }
  for (const { index, liveBlocks, liveBytes } of directory.segments()) {
    const [blocks, bytes] = live.get(index) ?? [0, 0];
    if (liveBlocks !== blocks || liveBytes !== bytes) {
      return `segment ${index} counts ${liveBlocks} blocks of ${liveBytes} bytes, there are ${blocks} of ${bytes}`;
    }
  }
  const blocks = [...live.values()].reduce((sum, [count]) => sum + count, 0);
  return directory.stats.blocks === blocks
    ? undefined
    : `stats count ${directory.stats.blocks}, not ${blocks}`;
}

for (const memoryBudgetBytes of [undefined, 0]) {
  t.test(`random histories with crashes, memory ${memoryBudgetBytes ?? 'enough'}`, async (t) => {
    for (let history = 0; history < 25; history++) {
      const engine = new MemoryEngine();
      const world = new DirectoryWorld(engine, { memoryBudgetBytes });
      await world.directory.start();
      let { epoch, segment } = await openSegment(world.directory);
      /** What a durable commit promised and nothing removed since. */
      const durable = new Set<number>();
      for (let step = 0; step < 60; step++) {
        const action = random();
        const first = (random() * BLOCKS) | 0;
        const count = Math.min(BLOCKS - first, 1 + ((random() * 8) | 0));
        if (action < 0.5) {
          const sync = random() < 0.5;
          const accepted = new Uint8Array(count);
          await world.directory.commit('node-a', epoch, rowsOf(segment, first, count), count, accepted, {
            durable: sync,
          });
          for (let i = 0; i < count; i++) if (sync && accepted[i] === 1) durable.add(first + i);
        } else if (action < 0.7) {
          await world.directory.remove(0, keysOf(first, count), count);
          for (let i = 0; i < count; i++) durable.delete(first + i);
        } else if (action < 0.8) {
          const id = new Uint8Array(16).map(() => random() * 256);
          const fields = { id, namespace: 0, node: 'node-a', epoch, sizeBytes: 8 << 20 };
          segment = (await world.directory.createSegment(fields)).index;
        } else if (action < 0.88) {
          for (const { index, state, liveBlocks } of world.directory.segments()) {
            if (index === segment || liveBlocks > 0) continue;
            if (state !== 'dead' && !(await world.directory.moveSegment(index, state, 'dead', 0))) {
              return t.fail('an empty segment dies');
            }
            if (random() < 0.5) await world.directory.forgetSegment(index);
          }
        } else if (action < 0.9) {
          engine.rollLog();
        } else if (action < 0.93) {
          await world.restart();
        } else {
          engine.crash((random() * (engine.unsynced + 1)) | 0);
          await world.fresh().start();
          const after = await world.directory.acquireEpoch('node-a');
          if (after <= epoch) return t.fail(`epoch ${after} after ${epoch}`);
          epoch = after;
          if (world.directory.segment(segment)?.state !== 'open') return t.fail('the open segment is known');
          for (const number of durable) {
            if ((await world.directory.matchPrefix(0, keysOf(number, 1), 1)) !== 1) {
              return t.fail(`history ${history} step ${step}: durable block ${number} is lost`);
            }
          }
        }
        const wrong = await countsAgree(world);
        if (wrong !== undefined) return t.fail(`history ${history} step ${step}: ${wrong}`);
      }
      await world.directory.stop();
    }
    t.pass();
  });
}

t.test('blocks of a segment that is closed are not lost with a log that was full before', async (t) => {
  for (const state of ['sealed', 'abandoned'] as const) {
    const engine = new MemoryEngine();
    const world = new DirectoryWorld(engine);
    await world.directory.start();
    const { epoch, segment } = await openSegment(world.directory);
    await world.directory.commit('node-a', epoch, rowsOf(segment, 0, 3), 3, new Uint8Array(3));
    engine.rollLog();
    await world.directory.moveSegment(segment, 'open', state, 4096);
    engine.crash();
    await world.fresh().start();
    t.equal(world.directory.segment(segment)?.state, state);
    t.equal(await world.directory.matchPrefix(0, keysOf(0, 3), 3), 3);
    await world.directory.stop();
  }
});

t.test('a clean stop leaves every record behind, also of a log that was full before', async (t) => {
  const engine = new MemoryEngine();
  const world = new DirectoryWorld(engine);
  await world.directory.start();
  const { epoch, segment } = await openSegment(world.directory);
  await world.directory.commit('node-a', epoch, rowsOf(segment, 0, 3), 3, new Uint8Array(3));
  engine.rollLog();
  await world.directory.stop();
  engine.crash();
  // The next start takes the mark of the checkpoint back, and dies: from then on the records are the index.
  await world.fresh().start();
  engine.crash();
  await world.fresh().start();
  t.equal(await world.directory.matchPrefix(0, keysOf(0, 3), 3), 3);
  await world.directory.stop();
});

t.test('records that a lost deletion left in a forgotten segment are dropped at start', async (t) => {
  const engine = new MemoryEngine();
  const world = new DirectoryWorld(engine);
  await world.directory.start();
  const { epoch, segment } = await openSegment(world.directory);
  await world.directory.commit('node-a', epoch, rowsOf(segment, 0, 2), 2, new Uint8Array(2), {
    durable: true,
  });
  const key = Buffer.concat([Uint8Array.of(0x62, 0, 0, 0), new Uint8Array(keysOf(0, 1).buffer)]);
  const [record] = await engine.getMany([key]);
  await world.directory.remove(0, keysOf(0, 2), 2);
  await world.directory.moveSegment(segment, 'open', 'dead', 0);
  await world.directory.forgetSegment(segment);
  await engine.write([{ key, value: record }], { durable: true });
  await world.fresh().start();
  t.equal(world.directory.stats.blocks, 0);
  t.same(await engine.getMany([key]), [undefined]);
  await engine.write([{ key, value: Uint8Array.of(1, 2, 3) }], { durable: true });
  await world.fresh().start();
  t.match(world.directory.stats, { blocks: 0, damaged: 1 });
  await world.directory.stop();
});

t.test(
  'a lost database gets epochs and namespaces back from the copy; a damaged copy is passed over',
  async (t) => {
    const world = new DirectoryWorld(new MemoryEngine());
    await world.directory.start();
    const { epoch } = await openSegment(world.directory);
    await world.directory.stop();
    const { files } = world;
    const lost = new DirectoryWorld(new MemoryEngine());
    for (const [path, bytes] of files.content) lost.files.content.set(path, bytes);
    await lost.directory.start();
    t.match(lost.directory.stats, { blocks: 0, segments: 0, namespaces: 1, damaged: 0 });
    t.equal(await lost.directory.acquireEpoch('node-a'), epoch + 1);
    lost.files.content.get('catalogue/catalogue.json')![20]! ^= 1;
    await lost.restart();
    t.match(lost.directory.stats, { namespaces: 1, damaged: 1 });
    t.equal(await lost.directory.acquireEpoch('node-a'), epoch + 2);
    await lost.directory.stop();
  },
);

t.test('a database of a later version is refused', async (t) => {
  const engine = new MemoryEngine();
  await engine.write([{ key: Uint8Array.of(0x66), value: Buffer.from('{"version":2}') }], { durable: true });
  await t.rejects(async () => new DirectoryWorld(engine).directory.start(), { code: 'ERR_ROOT_TOO_NEW' });
});

t.test('concurrent commits of the same blocks agree on one location each, beyond memory too', async (t) => {
  for (const memoryBudgetBytes of [undefined, 0]) {
    const world = new DirectoryWorld(new LevelEngine({ path: t.testdir() }), { memoryBudgetBytes });
    await world.directory.start();
    const { epoch, segment, namespace } = await openSegment(world.directory);
    const id = new Uint8Array(16).fill(9);
    const other = await world.directory.createSegment({
      id,
      namespace,
      node: 'node-a',
      epoch,
      sizeBytes: 8 << 20,
    });
    const outcomes = await Promise.all(
      [segment, other.index, segment, other.index].map(async (index, i) => {
        const accepted = new Uint8Array(20);
        const rows = rowsOf(index, 0, 20);
        for (let row = 0; row < 20; row++) rows[row * 27 + 18] = 1000 * i + row;
        await world.directory.commit('node-a', epoch, rows, 20, accepted, { durable: i % 2 === 0 });
        return accepted;
      }),
    );
    const sums = Array.from({ length: 20 }, (_, i) =>
      outcomes.reduce((sum, accepted) => sum + accepted[i]!, 0),
    );
    t.same(sums, new Array(20).fill(1));
    t.equal(world.directory.stats.blocks, 20);
    const keys = new Uint32Array(20 * KEY_WORDS);
    keys.set(keysOf(0, 20));
    t.equal(await world.directory.remove(0, keys, 20), 20);
    await world.directory.stop();
  }
});

t.test('a budget that fills up moves on to the engine without a seam', async (t) => {
  const world = new DirectoryWorld(new LevelEngine({ path: t.testdir() }), { memoryBudgetBytes: 5 << 20 });
  await world.directory.start();
  const { epoch, segment } = await openSegment(world.directory);
  const step = 4000;
  for (let first = 0; first < 60_000; first += step) {
    const accepted = new Uint8Array(step);
    await world.directory.commit('node-a', epoch, rowsOf(segment, first, step), step, accepted);
    if (accepted.includes(0)) return t.fail('all are new');
  }
  const { blocks, blocksBeyondMemory, indexBytes } = world.directory.stats;
  t.equal(blocks, 60_000);
  t.ok(blocksBeyondMemory > 0 && blocksBeyondMemory < 60_000, `${blocksBeyondMemory} beyond memory`);
  t.ok(indexBytes <= 5 << 20, `${indexBytes} bytes`);
  t.equal(await world.directory.matchPrefix(0, keysOf(0, 60_000), 60_000), 60_000);
  const bytes = world.directory.stats.bytes;
  await world.restart();
  t.match(world.directory.stats, { blocks: 60_000, bytes });
  t.ok(world.directory.stats.blocksBeyondMemory > 0);
  t.equal(await world.directory.remove(0, keysOf(0, 60_000), 60_000), 60_000);
  t.match(world.directory.stats, { blocks: 0, bytes: 0, blocksBeyondMemory: 0 });
  t.type(world.directory.matchPrefix(0, keysOf(0, 1), 1), 'number', 'memory is whole again');
  await world.directory.stop();
});
