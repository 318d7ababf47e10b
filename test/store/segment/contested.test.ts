import { PUT_STATUS } from '@refill/interface';
import { LOAD_STATUS, rebuildDirectory, recoverSegments } from '@refill/store';
import t from 'tap';
import type { SimFile } from '../../fixtures/sim-disk.ts';
import { blockOf, keyOf, sameBlock, TierWorld } from '../../fixtures/tier-world.ts';

const PAYLOAD_BYTES = 2 ** 21;
const partsOf = ({ io, directory, scratch, clock }: TierWorld) => ({ io, directory, scratch, clock });

/** The file that was created last. */
const newest = (world: TierWorld): SimFile => world.disk.files.get([...world.disk.created].at(-1)!)!;

/** A block that rotted, was missed, put again and acknowledged, in two segments. Another one keeps the first there. */
async function rotted(): Promise<TierWorld> {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000, 1), blockOf(2, 5000)]);
  newest(world).pages.get(2)![7]! ^= 1;
  await world.tier.seal();
  if ((await world.load([keyOf(1)]))[0] !== LOAD_STATUS.corrupt) throw new Error('it is not damaged');
  if ((await world.store([blockOf(1, 5000, 2)]))[0] !== PUT_STATUS.stored)
    throw new Error('it is not put again');
  return world;
}

t.test('a block put again after bit rot is not lost with the database', async (t) => {
  const world = await rotted();
  await world.tier.seal();
  await rebuildDirectory(partsOf(world));
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000, 2)));
  await world.close();
});

t.test('nor with the latest commits of the database', async (t) => {
  const world = await rotted();
  const { directory } = world;
  // Back to the commit before: the damaged place is known again, the new one is not.
  await directory.remove(0, keyOf(1), 1);
  const next = new TierWorld({ disk: world.disk, world: world.world, payloadBytes: PAYLOAD_BYTES });
  await next.boot();
  const [first, second] = next.directory.segments();
  t.equal(second!.state, 'open');
  const rows = new Uint32Array(27);
  const { pages } = world.disk.files.get([...world.disk.created][0]!)!;
  const entry = new Uint32Array(pages.get(1)!.slice(128, 128 + 112).buffer);
  const { commitRow } = await import('../../../packages/store/src/segment/commit-row.ts');
  commitRow(rows, 0, entry, 0, 0, first!.index);
  await next.directory.commit('node-a', next.epoch, rows, 1, new Uint8Array(1));
  t.match(await recoverSegments(partsOf(next), { node: 'node-a', epoch: next.epoch }), { blocks: 1 });
  await next.open();
  t.ok(sameBlock((await next.load([keyOf(1)]))[0], blockOf(1, 5000, 2)));
  await next.close();
});

t.test('of two whole writes the first wins, and one that cannot be read keeps its place', async (t) => {
  const world = await rotted();
  await world.tier.seal();
  const damaged = [...world.disk.files.values()][0]!;
  const firstPath = [...world.disk.created][0]!;
  // The device refuses just the payload.
  world.io.options.fault = (op) =>
    op.kind === 'read' && op.path === firstPath && op.offset === 8192 ? { errno: 5 } : undefined;
  await rebuildDirectory(partsOf(world));
  world.io.options.fault = undefined;
  t.equal(world.directory.segment(world.directory.segments()[0]!.index)!.liveBlocks, 2);
  damaged.pages.get(2)![7]! ^= 1;
  await rebuildDirectory(partsOf(world));
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000, 1)), 'the first, now that it is whole');
  await world.close();
});

/**
 * A put that failed was not acknowledged, and its bytes may be whole on the disk all the same: it may appear, at a
 * rebuild even in the place of a later put of the key. Nothing on the disk tells it from a put that was acknowledged
 * by a node that died before its next batch.
 */
t.test(
  'a put that failed twice may win over a later one after a rebuild: one of the two, never a mixture',
  async (t) => {
    const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
    let syncs = 0;
    await world.boot({
      fault: (op) => (op.kind === 'sync' && [2, 3].includes(++syncs) ? { errno: 5 } : undefined),
    });
    await world.open();
    t.same(await world.store([blockOf(2, 5000)]), [PUT_STATUS.stored], 'which keeps the segment there');
    t.same(await world.store([blockOf(1, 5000, 1)]), [PUT_STATUS.failed]);
    t.same(await world.load([keyOf(1)]), [undefined], 'it is not visible');
    t.same(await world.store([blockOf(1, 5000, 2)]), [PUT_STATUS.stored]);
    t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000, 2)), 'the one that was acknowledged');
    await world.tier.seal();
    await world.tier.reclaim();
    t.equal(world.disk.files.size, 2, 'what holds nothing but failed puts is unlinked');
    await rebuildDirectory(partsOf(world));
    t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000, 1)), 'the first complete write');
    world.disk.files
      .get([...world.disk.created][0]!)!
      .pages.get(5)!
      .fill(0);
    await rebuildDirectory(partsOf(world));
    t.ok(
      sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000, 2)),
      'unless it never reached the disk',
    );
    await world.close();
  },
);
