import {
  type Directory,
  ENTRY_NONE,
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  type MetadataEngine,
} from '@refill/interface';
import type { Test } from 'tap';
import { DirectoryWorld, FINGERPRINT, keysOf, openSegment, rowsOf } from '../fixtures/directory-world.ts';

/** Pages of `count` keys, -1 for a miss. */
async function pagesOf(directory: Directory, from: number, count: number, namespace = 0): Promise<number[]> {
  const rows = new Uint32Array(count * LOCATION_ROW_WORDS).fill(7);
  await directory.lookup(namespace, keysOf(from, count), count, rows);
  return Array.from({ length: count }, (_, i) => {
    const at = i * LOCATION_ROW_WORDS;
    return rows[at + LOCATION_ROW.found] === 1 ? rows[at + LOCATION_ROW.offsetPages]! : -1;
  });
}

/** A directory that can be started again, over an engine that stays. */
export interface WorldOfDirectory {
  readonly directory: Directory;
  readonly engine: MetadataEngine;
  restart(): Promise<unknown>;
}

/**
 * What every directory promises, whatever its engine and its memory. `create` gives a stopped engine; `options`
 * are the directory's, so that the suite also runs with a memory budget that holds no block.
 */
export function directoryCompliance(
  t: Test,
  create: (t: Test) => MetadataEngine,
  options: { memoryBudgetBytes?: number } = {},
  createWorld: (engine: MetadataEngine) => WorldOfDirectory = (engine) => new DirectoryWorld(engine, options),
): void {
  const started = async (t: Test): Promise<WorldOfDirectory> => {
    const world = createWorld(create(t));
    await world.directory.start();
    t.teardown(() => world.directory.stop());
    return world;
  };

  t.test('a node never gets an epoch twice, also when the metadata database is lost', async (t) => {
    const world = await started(t);
    // A cluster's own nodes take epochs too, so the numbers have gaps.
    const epochs = [await world.directory.acquireEpoch('a')];
    const [second, third] = [world.directory.acquireEpoch('a'), world.directory.acquireEpoch('a')];
    epochs.push(await second, await third, await world.directory.acquireEpoch('b'));
    await world.restart();
    epochs.push(await world.directory.acquireEpoch('a'));
    await world.engine.clear({ gte: Uint8Array.of(0), lt: Uint8Array.of(255) });
    await world.restart();
    epochs.push(await world.directory.acquireEpoch('b'));
    for (let i = 1; i < epochs.length; i++) {
      t.ok(epochs[i]! > epochs[i - 1]!, 'also never one that another node had', { epochs });
    }
  });

  t.test('a namespace keeps its index; another fingerprint under its name is refused by field', async (t) => {
    const world = await started(t);
    const first = await world.directory.openNamespace(FINGERPRINT);
    t.match(first, { index: 0, policy: { compress: false }, blocks: 0, bytes: 0 });
    t.equal(first.id.length, 16);
    const again = { ...FINGERPRINT, extra: { first: '1', second: '2' } };
    t.equal((await world.directory.openNamespace(again)).index, 0);
    await t.rejects(world.directory.openNamespace({ ...FINGERPRINT, dtype: 'float16' }), {
      code: 'ERR_FINGERPRINT_MISMATCH',
      message: /dtype is "bfloat16" there, "float16" was asked for/,
    });
    await t.rejects(world.directory.openNamespace({ ...FINGERPRINT, name: 'a b' }), TypeError);
    t.equal((await world.directory.openNamespace({ ...FINGERPRINT, owner: 'other' })).index, 1);
    t.same((await world.directory.openNamespace(FINGERPRINT, { compress: true })).policy, { compress: true });
    await world.restart();
    t.match(await world.directory.openNamespace(FINGERPRINT), { index: 0, policy: { compress: true } });
    t.equal(world.directory.namespaces().length, 2);
    t.equal(world.directory.namespace(2), undefined);
  });

  t.test('segments move by compare-and-set and their index is never used again', async (t) => {
    const world = await started(t);
    const { epoch, namespace, segment } = await openSegment(world.directory);
    t.match(world.directory.segment(segment), { state: 'open', node: 'node-a', epoch, endBytes: 0 });
    t.equal(world.directory.segmentById(new Uint8Array(16).fill(1))?.index, segment);
    t.equal(await world.directory.moveSegment(segment, 'sealed', 'dead', 1), false);
    t.equal(await world.directory.moveSegment(segment, 'open', 'sealed', 4096), true);
    await world.restart();
    t.match(world.directory.segment(segment), { state: 'sealed', endBytes: 4096 });
    t.equal(await world.directory.moveSegment(segment, 'sealed', 'dead', 4096), true);
    await world.directory.forgetSegment(segment);
    t.equal(world.directory.segment(segment), undefined);
    t.equal(await world.directory.moveSegment(segment, 'dead', 'open', 0), false);
    await world.restart();
    const id = new Uint8Array(16).fill(2);
    const next = { id, namespace, node: 'node-a', epoch, sizeBytes: 8 << 20 };
    t.ok((await world.directory.createSegment(next)).index > segment);
    await t.rejects(world.directory.createSegment(next), /a segment id is used once/);
    await t.rejects(world.directory.createSegment({ ...next, epoch: epoch - 1 }), { code: 'ERR_FENCED' });
  });

  t.test('a committed block is found with all its columns; the first commit wins', async (t) => {
    const { directory } = await started(t);
    const { epoch, segment } = await openSegment(directory);
    const other = await directory.createSegment({
      id: new Uint8Array(16).fill(2),
      namespace: 0,
      node: 'node-a',
      epoch,
      sizeBytes: 8 << 20,
    });
    const accepted = new Uint8Array(3);
    await directory.commit('node-a', epoch, rowsOf(segment, 0, 2), 2, accepted);
    t.same([...accepted], [1, 1, 0]);
    await directory.commit('node-a', epoch, rowsOf(other.index, 0, 3), 3, accepted, { durable: true });
    t.same([...accepted], [0, 0, 1]);
    await directory.commit('node-a', epoch, rowsOf(segment, 0, 2), 2, accepted, { durable: true });
    t.same([...accepted], [1, 1, 1], 'a repeated commit of the same location is accepted');
    const rows = new Uint32Array(LOCATION_ROW_WORDS);
    await directory.lookup(0, keysOf(1, 1), 1, rows);
    t.same([...rows.subarray(0, 9)], [1, segment, 2, 1001, 501, 0x80000001, 0xf0000001, 16, 1]);
    const certain = new Uint32Array(LOCATION_ROW_WORDS);
    await directory.lookup(0, keysOf(1, 1), 1, certain, { certain: true });
    t.same([...certain.subarray(0, 9)], [...rows.subarray(0, 9)]);
    await directory.lookup(1, keysOf(1, 1), 1, rows);
    t.same([...rows], [0, 0, 0, 0, 0, 0, 0, 0, 0, ENTRY_NONE, 0, 0], 'not in another namespace');
    t.match(directory.segment(segment), { liveBlocks: 2, liveBytes: 1001 });
    t.match(directory.segment(other.index), { liveBlocks: 1, liveBytes: 502 });
    t.match(directory.namespace(0), { blocks: 3, bytes: 1503 });
    t.match(directory.stats, { blocks: 3, bytes: 1503, segments: 2, namespaces: 1 });
  });

  t.test('one key twice in a commit is one block', async (t) => {
    const { directory } = await started(t);
    const { epoch, segment } = await openSegment(directory);
    const rows = new Uint32Array([...rowsOf(segment, 0, 1), ...rowsOf(segment, 0, 1)]);
    rows[27 + 18] = 99;
    const accepted = new Uint8Array(2);
    await directory.commit('node-a', epoch, rows, 2, accepted);
    t.same([...accepted], [1, 0]);
    t.equal(directory.stats.blocks, 1);
    t.equal(await directory.remove(0, new Uint32Array([...keysOf(0, 1), ...keysOf(0, 1)]), 2), 1);
    t.match(directory.stats, { blocks: 0, bytes: 0 });
  });

  t.test('a fenced epoch, a foreign and a dead segment take no commit', async (t) => {
    const { directory } = await started(t);
    const { epoch, segment } = await openSegment(directory);
    const accepted = new Uint8Array(1);
    const commit = (node: string, epoch: number, segment: number): Promise<void> =>
      directory.commit(node, epoch, rowsOf(segment, 0, 1), 1, accepted);
    const later = await directory.acquireEpoch('node-a');
    const foreign = await directory.acquireEpoch('node-b');
    await t.rejects(commit('node-a', epoch, segment), { code: 'ERR_FENCED' });
    await t.rejects(commit('node-b', foreign, segment), { code: 'ERR_FENCED' });
    await t.rejects(commit('node-a', later, segment + 1), { code: 'ERR_FENCED' });
    t.same(await pagesOf(directory, 0, 1), [-1]);
    await directory.moveSegment(segment, 'open', 'abandoned', 4096);
    await commit('node-a', later, segment);
    t.same(await pagesOf(directory, 0, 1), [1], 'recovery commits under a later epoch');
    t.equal(await directory.moveSegment(segment, 'abandoned', 'dead', 4096), false, 'it has a live block');
    await directory.remove(0, keysOf(0, 1), 1);
    t.equal(await directory.moveSegment(segment, 'abandoned', 'dead', 4096), true);
    await t.rejects(commit('node-a', later, segment), { code: 'ERR_FENCED' });
  });

  t.test('removal by key and by location, and a key can be put again', async (t) => {
    const { directory } = await started(t);
    const { epoch, segment } = await openSegment(directory);
    const accepted = new Uint8Array(10);
    await directory.commit('node-a', epoch, rowsOf(segment, 0, 10), 10, accepted);
    t.equal(await directory.remove(0, keysOf(8, 4), 4), 2);
    t.equal(await directory.removeAt(0, keysOf(3, 1), segment, 99), false);
    t.equal(await directory.removeAt(0, keysOf(3, 1), segment + 1, 4), false);
    t.equal(await directory.removeAt(0, keysOf(3, 1), segment, 4), true);
    t.equal(await directory.removeAt(0, keysOf(3, 1), segment, 4), false);
    t.same(await pagesOf(directory, 0, 10), [1, 2, 3, -1, 5, 6, 7, 8, -1, -1]);
    const rows = rowsOf(segment, 3, 1);
    rows[18] = 77;
    await directory.commit('node-a', epoch, rows, 1, accepted);
    t.same(await pagesOf(directory, 2, 3), [3, 77, 5]);
    t.match(directory.segment(segment), { liveBlocks: 8 });
  });

  t.test('matchPrefix counts to the first missing block, over 16,384 keys', async (t) => {
    const { directory } = await started(t);
    const { epoch, segment } = await openSegment(directory);
    const accepted = new Uint8Array(16_384);
    await directory.commit('node-a', epoch, rowsOf(segment, 0, 16_384), 16_384, accepted);
    const keys = keysOf(0, 16_384);
    t.equal(await directory.matchPrefix(0, keys, 16_384), 16_384);
    t.equal(await directory.matchPrefix(0, keys, 0), 0);
    t.equal(await directory.matchPrefix(1, keys, 16_384), 0);
    for (const gap of [16_383, 5000, 1024, 0]) {
      await directory.remove(0, keys.subarray(gap * KEY_WORDS, (gap + 1) * KEY_WORDS), 1);
      t.equal(await directory.matchPrefix(0, keys, 16_384), gap);
    }
  });

  t.test('blocks, counts and recency outlive a restart', async (t) => {
    const world = await started(t);
    const { epoch, segment } = await openSegment(world.directory);
    const accepted = new Uint8Array(100);
    await world.directory.commit('node-a', epoch, rowsOf(segment, 0, 100), 100, accepted);
    await world.directory.remove(0, keysOf(50, 1), 1);
    const before = { ...world.directory.stats };
    const { blocks, bytes } = world.directory.namespace(0)!;
    const { liveBlocks, liveBytes } = world.directory.segment(segment)!;
    await world.restart();
    t.match(world.directory.stats, {
      blocks: 99,
      bytes: before.bytes,
      segments: 1,
      namespaces: 1,
      damaged: 0,
    });
    t.match(world.directory.namespace(0), { blocks, bytes });
    t.match(world.directory.segment(segment), { liveBlocks, liveBytes });
    t.same(await pagesOf(world.directory, 48, 5), [49, 50, -1, 52, 53]);
    t.equal(await world.directory.matchPrefix(0, keysOf(0, 100), 100), 50);
  });

  t.test(
    'reset forgets blocks and segments, and keeps epochs, and namespaces with their indexes',
    async (t) => {
      const world = await started(t);
      const { epoch, segment } = await openSegment(world.directory);
      const other = { ...FINGERPRINT, owner: 'other' };
      t.equal((await world.directory.openNamespace(other, { compress: true })).index, 1);
      await world.directory.commit('node-a', epoch, rowsOf(segment, 0, 10), 10, new Uint8Array(10));
      await world.directory.checkpoint();
      await world.directory.reset();
      t.match(world.directory.stats, { blocks: 0, bytes: 0, segments: 0, namespaces: 2 });
      t.match(world.directory.namespace(0), { blocks: 0, bytes: 0 });
      t.same(await pagesOf(world.directory, 0, 2), [-1, -1]);
      await world.restart();
      t.match(world.directory.stats, { blocks: 0, segments: 0, namespaces: 2 });
      t.match(await world.directory.openNamespace(other), { index: 1, policy: { compress: true } });
      const next = await openSegment(world.directory);
      t.equal(next.namespace, 0);
      t.ok(next.segment > segment);
      t.ok(next.epoch > epoch);
    },
  );

  t.test('a directory that is not started refuses changes', async (t) => {
    const world = createWorld(create(t));
    await t.rejects(world.directory.acquireEpoch('a'), { code: 'ERR_NODE_CLOSED' });
    await t.rejects(world.directory.commit('a', 1, rowsOf(0, 0, 1), 1, new Uint8Array(1)), {
      code: 'ERR_NODE_CLOSED',
    });
    await world.directory.stop();
  });
}
