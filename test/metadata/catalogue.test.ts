import { MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { DirectoryWorld, FINGERPRINT, keysOf, openSegment, rowsOf } from '../fixtures/directory-world.ts';

t.test(
  'an epoch survives a crash right behind it, also when the copy on the shared file system is gone',
  async (t) => {
    const engine = new MemoryEngine();
    const world = new DirectoryWorld(engine);
    await world.directory.start();
    for (const epoch of [1, 2, 3]) {
      t.equal(await world.directory.acquireEpoch(epoch === 2 ? 'node-b' : 'node-a'), epoch);
      engine.crash();
      world.files.content.clear();
      await world.fresh().start();
    }
    t.equal(await world.directory.acquireEpoch('node-b'), 4);
  },
);

t.test('epochs of the copy hold when the database has fallen behind it', async (t) => {
  const world = new DirectoryWorld(new MemoryEngine());
  await world.directory.start();
  for (let i = 0; i < 4; i++) await world.directory.acquireEpoch('node-a');
  const behind = new DirectoryWorld(new MemoryEngine());
  await behind.directory.start();
  await behind.directory.acquireEpoch('node-a');
  behind.files.content.set('catalogue/catalogue.json', world.files.content.get('catalogue/catalogue.json')!);
  await behind.restart();
  t.equal(await behind.directory.acquireEpoch('node-b'), 5);
});

t.test('a segment, its death and its end survive a crash right behind them', async (t) => {
  const engine = new MemoryEngine();
  const world = new DirectoryWorld(engine);
  await world.directory.start();
  const { segment, epoch } = await openSegment(world.directory);
  engine.crash();
  await world.fresh().start();
  t.equal(world.directory.segment(segment)?.state, 'open');
  // Removing is not durable, dying is: the records come back, and count for nothing.
  await world.directory.commit('node-a', epoch, rowsOf(segment, 0, 3), 3, new Uint8Array(3), {
    durable: true,
  });
  const records = await engine.getMany([
    Buffer.concat([Uint8Array.of(0x62, 0, 0, 0), new Uint8Array(keysOf(0, 1).buffer)]),
  ]);
  await world.directory.remove(0, keysOf(0, 3), 3);
  await world.directory.moveSegment(segment, 'open', 'dead', 4096);
  await engine.write(
    [
      {
        key: Buffer.concat([Uint8Array.of(0x62, 0, 0, 0), new Uint8Array(keysOf(0, 1).buffer)]),
        value: records[0],
      },
    ],
    { durable: true },
  );
  engine.crash();
  await world.fresh().start();
  t.match(world.directory.segment(segment), { state: 'dead', liveBlocks: 0 });
  t.equal(world.directory.stats.blocks, 0);
  await world.directory.forgetSegment(segment);
  engine.crash();
  await world.fresh().start();
  t.equal(world.directory.segment(segment), undefined);
  await world.directory.stop();
});

t.test('namespaces of the copy keep their indexes when the database was set back', async (t) => {
  const world = new DirectoryWorld(new MemoryEngine());
  await world.directory.start();
  for (const name of ['one', 'two', 'three']) await world.directory.openNamespace({ ...FINGERPRINT, name });
  await world.directory.stop();
  const behind = new DirectoryWorld(new MemoryEngine());
  await behind.directory.start();
  await behind.directory.openNamespace({ ...FINGERPRINT, name: 'one' });
  behind.files.content.set('catalogue/catalogue.json', world.files.content.get('catalogue/catalogue.json')!);
  await behind.restart();
  t.equal((await behind.directory.openNamespace({ ...FINGERPRINT, name: 'four' })).index, 3);
  t.equal((await behind.directory.openNamespace({ ...FINGERPRINT, name: 'three' })).index, 2);
  await behind.restart();
  t.equal(behind.directory.namespace(1)?.fingerprint.name, 'two');
  await behind.directory.stop();
});

t.test('a removal that was to be durable survives a crash right behind it', async (t) => {
  for (const memoryBudgetBytes of [undefined, 0]) {
    const engine = new MemoryEngine();
    const world = new DirectoryWorld(engine, { memoryBudgetBytes });
    await world.directory.start();
    const { segment, epoch } = await openSegment(world.directory);
    const rows = rowsOf(segment, 0, 3);
    await world.directory.commit('node-a', epoch, rows, 3, new Uint8Array(3), { durable: true });
    t.equal(await world.directory.remove(0, keysOf(0, 2), 2, { durable: true }), 2);
    engine.crash();
    await world.fresh().start();
    t.equal(world.directory.stats.blocks, 1);
    t.equal(await world.directory.matchPrefix(0, keysOf(2, 1), 1), 1);
  }
});
