import { PUT_STATUS, RefillError } from '@refill/interface';
import { LOAD_STATUS } from '@refill/store';
import t from 'tap';
import { blockOf, keyOf, sameBlock, TierWorld } from '../../fixtures/tier-world.ts';

t.test('blocks come back as they were stored', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  const blocks = Array.from({ length: 40 }, (_, i) => blockOf(i, 1 + ((i * 7919) % 70_000)));
  t.same(
    await world.store(blocks),
    blocks.map(() => PUT_STATUS.stored),
  );
  const loaded = await world.load(blocks.map((block) => block.key));
  for (const [i, block] of blocks.entries()) t.ok(sameBlock(loaded[i], block), `block ${i}`);
  t.equal(world.tier.counters.blocksWritten, 40);
  t.equal(world.tier.counters.backlogBytes, 0);
  await world.close();
  t.equal(world.io.openHandles, 0, 'every file is closed');
  t.equal(world.scratch.taken, 0, 'all scratch memory is given back');
});

t.test('a prompt written together is read by one run', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  const blocks = Array.from({ length: 16 }, (_, i) => blockOf(i, 65_536));
  await world.store(blocks);
  await world.load(blocks.map((block) => block.key).reverse());
  t.equal(world.tier.counters.runs, 1);
  t.equal(world.tier.counters.deviceBytesRead, world.tier.counters.payloadBytesRead);
  await world.close();
});

t.test('the first complete write wins', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000, 1)]);
  t.same(await world.store([blockOf(1, 5000, 2)]), [PUT_STATUS.exists]);
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000, 1)));
  await world.close();
});

t.test('write-behind waits for company and ends in the same place', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  const stores = [1, 2, 3, 4].map((n) => world.store([blockOf(n, 9000)], { behind: true }));
  t.same((await Promise.all(stores)).flat(), [0, 0, 0, 0]);
  t.equal(world.tier.counters.batches, 1);
  await world.close();
});

t.test('a full segment is sealed and the next one opened', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open({ batchBytes: 1 << 20 });
  for (let round = 0; round < 6; round++) {
    const blocks = Array.from({ length: 4 }, (_, i) => blockOf(round * 4 + i, 700_000));
    t.same(await world.store(blocks), [0, 0, 0, 0]);
  }
  const loaded = await world.load(Array.from({ length: 24 }, (_, i) => keyOf(i)));
  for (const [i, bytes] of loaded.entries()) t.ok(sameBlock(bytes, blockOf(i, 700_000)), `block ${i}`);
  await world.tier.seal();
  const segments = world.directory.segments();
  t.ok(segments.length >= 3);
  t.ok(segments.every((segment) => segment.state === 'sealed'));
  await world.close();
});

t.test('a block longer than a configured segment gets a longer segment', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  const block = blockOf(1, 9 * 2 ** 20);
  t.same(await world.store([block]), [PUT_STATUS.stored]);
  t.ok(sameBlock((await world.load([block.key]))[0], block));
  await world.close();
});

t.test('a removed block is gone, and can be stored anew', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000), blockOf(2, 5000)]);
  t.equal(await world.tier.remove(world.namespace, keyOf(1), 1), 1);
  t.equal(await world.tier.remove(world.namespace, keyOf(1), 1), 0, 'a second time it is not there');
  t.same((await world.load([keyOf(1)]))[0], undefined);
  t.same(await world.store([blockOf(1, 6000, 2)]), [PUT_STATUS.stored]);
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 6000, 2)));
  await world.close();
});

t.test('a segment without live blocks is unlinked and forgotten', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000)]);
  await world.tier.seal();
  await world.directory.remove(world.namespace, keyOf(1), 1);
  t.equal(await world.tier.reclaim(), 1);
  t.equal(world.directory.segments().length, 0);
  t.equal(world.disk.files.size, 0);
  await world.close();
});

t.test('a file that vanished is a miss once, and leaves the directory', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000)]);
  world.disk.files.clear();
  t.same(await world.load([keyOf(1)]), [LOAD_STATUS.gone]);
  t.same(await world.load([keyOf(1)]), [undefined]);
  await world.close();
});

t.test('a removal that cannot be asked for or told is refused, never taken for done', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000)]);
  const away = new RefillError('ERR_METADATA_UNAVAILABLE', 'away');
  const { lookup, remove } = world.directory;
  world.directory.lookup = async (_namespace, _keys, _count, rows, options) => {
    // As a node whose service is away: what is not remembered reads as a miss, unless one must know.
    if (options?.certain === true) throw away;
    rows.fill(0);
  };
  await t.rejects(world.tier.remove(world.namespace, keyOf(1), 1), { code: 'ERR_METADATA_UNAVAILABLE' });
  world.directory.lookup = lookup;
  world.directory.remove = async () => {
    throw away;
  };
  await t.rejects(world.tier.remove(world.namespace, keyOf(1), 1), { code: 'ERR_METADATA_UNAVAILABLE' });
  world.directory.remove = remove;
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000)));
  t.equal(await world.tier.remove(world.namespace, keyOf(1), 1), 1);
  t.same(await world.load([keyOf(1)]), [undefined]);
  await world.close();
});
