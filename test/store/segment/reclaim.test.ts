import { rebuildDirectory } from '@refill/store';
import t from 'tap';
import { blockOf, keyOf, TierWorld } from '../../fixtures/tier-world.ts';

const PAYLOAD_BYTES = 2 ** 21;

async function opened(): Promise<TierWorld> {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot();
  await world.open();
  return world;
}

t.test('a segment of tombstones stays while an older one of its namespace is there', async (t) => {
  const world = await opened();
  await world.store([blockOf(1, 5000), blockOf(2, 5000)]);
  await world.tier.seal();
  await world.tier.remove(0, keyOf(1), 1);
  await world.tier.seal();
  await world.tier.reclaim();
  t.equal(world.disk.files.size, 2, 'the second holds no block, and is needed');
  const other = new TierWorld({ disk: world.disk, payloadBytes: PAYLOAD_BYTES });
  await other.boot();
  const { io, directory, scratch, clock } = other;
  await rebuildDirectory({ io, directory, scratch, clock });
  t.equal(directory.stats.blocks, 1, 'a rebuild does not bring back what was removed');
  await directory.stop();
  await world.tier.remove(0, keyOf(2), 1);
  await world.tier.seal();
  await world.tier.reclaim();
  await world.tier.reclaim();
  t.equal(world.disk.files.size, 0, 'nothing is older than the tombstones any more');
  await world.close();
});

t.test('it stays also when its header page and its footer are damaged', async (t) => {
  const world = await opened();
  await world.store([blockOf(1, 5000), blockOf(2, 5000)]);
  await world.tier.seal();
  await world.tier.remove(0, keyOf(1), 1);
  const { pages } = world.disk.files.get([...world.disk.created].at(-1)!)!;
  await world.tier.seal();
  pages.get(0)![100]! ^= 1;
  pages.delete(2047);
  await world.tier.reclaim();
  t.equal(world.disk.files.size, 2);
  await world.close();
});

t.test('a segment is not unlinked before its last read has ended', async (t) => {
  const world = await opened();
  await world.store([blockOf(1, 5000)]);
  await world.tier.seal();
  let unlinked = false;
  let inFlight = 0;
  let unlinkedUnder = false;
  world.io.options.fault = (op) => {
    if (op.kind === 'read' && op.offset === 8192) return { hang: true };
    if (op.kind === 'unlink') {
      unlinked = true;
      unlinkedUnder = inFlight > 0;
    }
    return undefined;
  };
  inFlight++;
  const reading = world.load([keyOf(1)], 500).then(() => inFlight--);
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  await world.directory.remove(0, keyOf(1), 1);
  await world.tier.reclaim();
  await reading;
  t.equal(unlinkedUnder, false);
  t.equal(unlinked, true);
  await world.close();
});
