import { BLOCK_FLAG, LOCATION_ROW_WORDS } from '@refill/interface';
import { MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { Buried, fillTarget } from '../../../packages/store/src/segment/buried.ts';
import { ENTRY, ENTRY_WORDS } from '../../../packages/store/src/segment/segment-format.ts';
import { applyTombstones, isTombstoneBatch } from '../../../packages/store/src/segment/tombstones.ts';
import { DirectoryWorld, FINGERPRINT, keysOf, rowsOf } from '../../fixtures/directory-world.ts';

/** A batch of tombstones for keys `from .. from + blocks`, at a page of its segment. */
function tombstones(from: number, blocks: number, page: number) {
  const entries = new Uint32Array(blocks * ENTRY_WORDS);
  for (let i = 0; i < blocks; i++) {
    entries.set(keysOf(from + i, 1), i * ENTRY_WORDS + ENTRY.key);
    entries[i * ENTRY_WORDS + ENTRY.flags] = BLOCK_FLAG.tombstone;
  }
  return { entries, blocks, offset: page * 4096 };
}

t.test('tombstones remove what was written before them, in place, segment and epoch', async (t) => {
  const { directory } = new DirectoryWorld(new MemoryEngine());
  await directory.start();
  const namespace = (await directory.openNamespace(FINGERPRINT)).index;
  const create = async (idByte: number, node: string) => {
    const epoch = await directory.acquireEpoch(node);
    const id = new Uint8Array(16).fill(idByte);
    return directory.createSegment({ id, namespace, node, epoch, sizeBytes: 8 << 20 });
  };
  const put = async (segment: { index: number; node: string; epoch: number }, from: number, count: number) =>
    directory.commit(
      segment.node,
      segment.epoch,
      rowsOf(segment.index, from, count),
      count,
      new Uint8Array(count),
    );
  const present = async (): Promise<number[]> => {
    const rows = new Uint32Array(9 * LOCATION_ROW_WORDS);
    await directory.lookup(namespace, keysOf(0, 9), 9, rows);
    return Array.from({ length: 9 }, (_, i) => rows[i * LOCATION_ROW_WORDS]!);
  };
  const first = await create(1, 'node-a');
  await put(first, 0, 3);
  const middle = await create(2, 'node-b');
  await put(middle, 3, 3);
  const last = await create(3, 'node-a');
  await put(last, 6, 3);
  t.same(await present(), new Array(9).fill(1));
  const batch = tombstones(0, 9, 5);
  t.equal(isTombstoneBatch(batch), true);
  // In the middle segment at page 5: block 3 lies at page 4, 4 at page 5, 5 at page 6.
  await applyTombstones(directory, batch, middle, new Buried());
  t.same(await present(), [0, 0, 0, 0, 1, 1, 1, 1, 1]);
  await applyTombstones(directory, tombstones(0, 9, 100), last, new Buried());
  t.same(await present(), new Array(9).fill(0));
  await directory.stop();
});

t.test(
  'a location that a tombstone names is removed and noted, in whatever order its segment comes',
  async (t) => {
    const { directory } = new DirectoryWorld(new MemoryEngine());
    await directory.start();
    const namespace = (await directory.openNamespace(FINGERPRINT)).index;
    const create = async (idByte: number, node: string) => {
      const epoch = await directory.acquireEpoch(node);
      const id = new Uint8Array(16).fill(idByte);
      return directory.createSegment({ id, namespace, node, epoch, sizeBytes: 8 << 20 });
    };
    const [early, late] = [await create(1, 'node-a'), await create(2, 'node-b')];
    await directory.commit('node-b', late.epoch, rowsOf(late.index, 0, 2), 2, new Uint8Array(2));
    const batch = tombstones(0, 2, 5);
    // Block 0 lies at page 1 of the later segment; of block 1 an earlier place is named, as of one that was put anew.
    fillTarget(batch.entries, ENTRY.target, late.id, 1);
    fillTarget(batch.entries, ENTRY_WORDS + ENTRY.target, early.id, 77);
    const buried = new Buried();
    await applyTombstones(directory, batch, early, buried);
    const rows = new Uint32Array(2 * LOCATION_ROW_WORDS);
    await directory.lookup(namespace, keysOf(0, 2), 2, rows);
    t.same([rows[0], rows[LOCATION_ROW_WORDS]], [0, 1]);
    t.equal(buried.size, 2);
    t.equal(buried.has(late.id, 1), true);
    t.equal(buried.has(early.id, 77), true);
    t.equal(buried.has(late.id, 77), false);
    await applyTombstones(directory, tombstones(0, 2, 6), early, buried);
    t.equal(buried.size, 2, 'those of before name none');
    await directory.stop();
  },
);
