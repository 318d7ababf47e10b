import { PUT_STATUS, RefillError } from '@refill/interface';
import t from 'tap';
import { blockOf, keyOf, sameBlock, TierWorld } from '../../fixtures/tier-world.ts';

t.test('under a new epoch open segments are abandoned and blocks go to new ones', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  t.same(await world.store([blockOf(1, 5000)]), [PUT_STATUS.stored]);
  const epoch = await world.directory.acquireEpoch('node-a');
  world.tier.adopt(epoch);
  t.same(await world.store([blockOf(2, 5000)]), [PUT_STATUS.stored]);
  await world.tier.seal();
  t.same(
    world.directory.segments().map(({ state, epoch }) => [state, epoch]),
    [
      ['abandoned', epoch - 1],
      ['sealed', epoch],
    ],
  );
  const [first, second] = await world.load([keyOf(1), keyOf(2)]);
  t.ok(sameBlock(first, blockOf(1, 5000)), 'what was committed stays');
  t.ok(sameBlock(second, blockOf(2, 5000)));
  await world.close();
});

t.test('a node that was fenced off writes again under the epoch that it adopts', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  const epoch = await world.directory.acquireEpoch('node-a');
  t.same(await world.store([blockOf(1, 5000)]), [PUT_STATUS.failed], 'its epoch is over');
  t.same(await world.store([blockOf(1, 5000)]), [PUT_STATUS.failed], 'and stays so');
  world.tier.adopt(epoch);
  t.same(await world.store([blockOf(1, 5000)]), [PUT_STATUS.stored]);
  await world.close();
});

t.test(
  'batches in flight while the epoch changes are written again, to a segment of the new one',
  async (t) => {
    for (const point of ['create', 'write', 'sync', 'checksum'] as const) {
      const world = new TierWorld();
      let adopt = (): void => {};
      await world.boot({
        fault: (op) => {
          if (op.kind === point) adopt();
          return undefined;
        },
      });
      await world.open();
      // In the middle of an operation the directory fences the old epoch and the tier takes the new one.
      adopt = () => {
        adopt = () => {};
        void world.directory.acquireEpoch('node-a');
        world.tier.adopt(world.epoch + 1);
      };
      t.same(await world.store([blockOf(1, 5000)]), [PUT_STATUS.stored], point);
      await world.tier.seal();
      t.notOk(world.directory.segments().some(({ state }) => state === 'open'));
      t.ok(world.directory.segments().some(({ state, epoch }) => state === 'sealed' && epoch > world.epoch));
      const [block] = await world.load([keyOf(1)]);
      t.ok(sameBlock(block, blockOf(1, 5000)));
      await world.close();
    }
  },
);

t.test('sequences begin anew: recovery of the new epoch reads its segments in order', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  for (let n = 0; n < 3; n++) await world.store([blockOf(n, 5000)]);
  world.tier.adopt(await world.directory.acquireEpoch('node-a'));
  await world.store([blockOf(3, 5000)]);
  await world.close();
  await world.boot();
  await world.open();
  const blocks = await world.load([0, 1, 2, 3].map(keyOf));
  for (const [n, block] of blocks.entries()) t.ok(sameBlock(block, blockOf(n, 5000)));
  await world.close();
});

t.test('an epoch is only followed by a greater one', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open();
  t.throws(() => world.tier.adopt(world.epoch), /only ever followed by a greater one/);
  await world.close();
});

t.test('reads hold back the version that others wait for, until they end', async (t) => {
  const world = new TierWorld();
  await world.boot({ latencyMs: () => 5 } as never);
  await world.open();
  await world.store([blockOf(1, 5000)]);
  const before = world.directory.version;
  t.equal(world.tier.oldestReadVersion, before, 'nothing is read');
  const { rows } = await world.loadRows([keyOf(1)]);
  const reading = world.tier.load(rows, 1, 1000);
  await world.directory.openNamespace({
    name: 'other',
    model: 'm',
    dtype: 'd',
    layout: 'l',
    tokensPerBlock: 1,
  });
  t.ok(world.directory.version > before);
  t.equal(world.tier.oldestReadVersion, before);
  await reading;
  t.equal(world.tier.oldestReadVersion, world.directory.version);
  await world.close();
});

t.test('blocks that meet the fence wait for the next epoch, and are stored under it', async (t) => {
  for (const call of ['createSegment', 'commit', 'remove'] as const) {
    const world = new TierWorld();
    await world.boot();
    await world.open({ fencedHoldMs: 1000 });
    if (call !== 'createSegment') await world.store([blockOf(1, 5000)]);
    const epoch = await world.directory.acquireEpoch('node-a');
    let refusals = 0;
    const calls = world.directory as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    const change = calls[call]!.bind(world.directory);
    calls[call] = async (...args) => {
      try {
        // As a service does for every change; a directory that is alone lets removals pass.
        if (call === 'remove' && refusals === 0) throw new RefillError('ERR_FENCED', 'over');
        return await change(...args);
      } catch (error) {
        if (refusals++ === 0) setImmediate(() => world.tier.adopt(epoch));
        throw error;
      }
    };
    if (call === 'remove') t.equal(await world.tier.remove(world.namespace, keyOf(1), 1), 1);
    else
      t.same(await world.store([blockOf(2, 5000), blockOf(3, 5000)]), [PUT_STATUS.stored, PUT_STATUS.stored]);
    t.equal(refusals, 1, call);
    await world.tier.seal();
    t.ok(world.directory.segments().some((segment) => segment.epoch === epoch));
    await world.close();
  }
});

t.test('no other epoch comes: what met the fence fails after its time', async (t) => {
  const world = new TierWorld();
  await world.boot();
  await world.open({ fencedHoldMs: 1000 });
  await world.directory.acquireEpoch('node-a');
  const from = world.clock.nowMs();
  t.same(await world.store([blockOf(1, 5000)]), [PUT_STATUS.failed]);
  const heldMs = world.clock.nowMs() - from;
  t.ok(heldMs >= 1000 && heldMs < 1100, `${heldMs} ms`);
  t.same(await world.store([blockOf(2, 5000)]), [PUT_STATUS.failed], 'and what comes later at once');
  await world.close();
});
