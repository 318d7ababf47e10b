import { MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { DirectoryWorld, keysOf, openSegment, rowsOf } from '../fixtures/directory-world.ts';

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
