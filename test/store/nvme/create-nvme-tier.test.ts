import { LOAD_STATUS } from '@refill/store';
import t from 'tap';
import { NvmeWorld } from '../../fixtures/nvme-world.ts';
import { mulberry } from '../../fixtures/seeded-random.ts';
import type { SimFault, SimOp } from '../../fixtures/sim-io.ts';
import { type Block, blockOf, keyOf, sameBlock } from '../../fixtures/tier-world.ts';

const KIB = 1024;
const MIB = 2 ** 20;

async function opened(...args: Parameters<NvmeWorld['openLocal']>): Promise<NvmeWorld> {
  const world = new NvmeWorld();
  await world.boot();
  await world.open();
  await world.openLocal(...args);
  return world;
}

/** The node starts again: new objects over the same two disks. `graceful` seals first. */
async function restart(world: NvmeWorld, graceful: boolean): Promise<void> {
  if (graceful) {
    await world.closeLocal();
    await world.close();
  } else {
    await world.tier.seal();
    await world.directory.stop();
    world.local.crash(world.random);
  }
  await world.boot();
  await world.open();
  await world.openLocal();
}

const blocksOf = (from: number, count: number, lengthBytes: number): Block[] =>
  Array.from({ length: count }, (_, i) => blockOf(from + i, lengthBytes));

/** Blocks of 1 MiB that are made in no time: pages that differ in their first words. */
const largeBlocks = (from: number, count: number): Block[] =>
  Array.from({ length: count }, (_, i) => {
    const bytes = new Uint8Array(MIB);
    const words = new Uint32Array(bytes.buffer);
    for (let page = 0; page < 256; page++) words.set([from + i, page, 0x5eed], page * 1024);
    return { key: keyOf(from + i), bytes };
  });
const keysOf = (blocks: readonly Block[]): Uint32Array[] => blocks.map(({ key }) => key);
const areSame = (loaded: readonly (Uint8Array | number | undefined)[], blocks: readonly Block[]): boolean =>
  loaded.every((bytes, i) => sameBlock(bytes, blocks[i]!));

t.test(
  'a copy comes back byte for byte; what has none is gone, and nobody is told that it is here',
  async (t) => {
    const world = await opened();
    const blocks = [blockOf(1, 100_001), blockOf(2, 4096), blockOf(3, 1), blockOf(4, 300 * KIB)];
    await world.store([blockOf(9, 5000)]);
    t.equal(await world.storeAndCopy(blocks), 4);
    t.same(await world.held([...keysOf(blocks), blockOf(9, 1).key]), [true, true, true, true, false]);
    const loaded = await world.loadLocal([...keysOf(blocks), blockOf(9, 1).key]);
    t.ok(areSame(loaded.slice(0, 4), blocks));
    t.equal(loaded[4], LOAD_STATUS.gone);
    t.match(world.nvme.status, { state: 'open', blocks: 4, segments: 1, corrupt: 0, reason: undefined });
    t.equal(await world.storeAndCopy([blockOf(5, 100)]), 1, 'and another into the same file');
    t.match(world.nvme.status, { blocks: 5, segments: 1 });
    await world.closeLocal();
    await world.close();
    t.equal(world.localIo.openHandles, 0);
    t.equal(world.scratch.taken, 0);
  },
);

t.test('blocks that are stored compressed are copied as they are in memory', async (t) => {
  const world = new NvmeWorld();
  await world.boot();
  await world.open({}, { compress: true });
  await world.openLocal();
  const block = blockOf(1, 200_000);
  for (let i = 1; i < block.bytes.length; i += 2) block.bytes[i] = 0x3f;
  await world.storeAndCopy([block]);
  t.ok(world.tier.counters.compressedBytes < world.tier.counters.compressibleBytes, 'compressed in segments');
  t.ok(areSame(await world.loadLocal([block.key]), [block]));
  await restart(world, true);
  t.ok(areSame(await world.loadLocal([block.key]), [block]));
  t.equal(world.nvme.status.corrupt, 0);
  await world.closeLocal();
});

t.test('copies survive a stop, and a crash that leaves files without footers', async (t) => {
  for (const graceful of [true, false]) {
    const world = await opened();
    const blocks = blocksOf(1, 40, 50_000);
    for (let i = 0; i < blocks.length; i += 8) await world.storeAndCopy(blocks.slice(i, i + 8));
    await restart(world, graceful);
    t.match(world.nvme.status, { state: 'open', blocks: 40, segments: 1 });
    t.ok(areSame(await world.loadLocal(keysOf(blocks)), blocks), graceful ? 'stopped' : 'crashed');
    t.equal(await world.storeAndCopy([blockOf(99, 100)]), 1, 'new copies go to a new file');
    t.equal(world.nvme.status.segments, 2);
    await world.closeLocal();
    await world.close();
  }
});

t.test('a crash in the middle of a copy leaves copies that are right or gone', async (t) => {
  const random = mulberry(7);
  for (let round = 0; round < 24; round++) {
    const crashAt = Math.floor(random() * 14);
    let ops = 0;
    const fault = (op: SimOp): SimFault | undefined =>
      ['mkdir', 'create', 'write', 'sync', 'checksum'].includes(op.kind) && ops++ === crashAt
        ? { crash: random() < 0.5 ? 'before' : 'after' }
        : undefined;
    const world = new NvmeWorld({ random });
    await world.boot();
    await world.open();
    await world.openLocal({}, { fault });
    const blocks = blocksOf(round * 100, 12, 30_000);
    let crashed = (): void => {};
    const isCrashed = new Promise<void>((resolve) => {
      crashed = resolve;
    });
    const copying = (async () => {
      for (let i = 0; i < blocks.length; i += 4) await world.storeAndCopy(blocks.slice(i, i + 4));
    })();
    // One that crashed does not answer any more.
    world.localIo.onCrash = () => crashed();
    await Promise.race([copying, isCrashed]);
    await world.store(blocks);
    await restart(world, false);
    const loaded = await world.loadLocal(keysOf(blocks));
    for (const [i, bytes] of loaded.entries()) {
      if (bytes !== LOAD_STATUS.gone && !sameBlock(bytes, blocks[i]!))
        t.fail(`round ${round}: block ${i} is wrong`);
    }
    t.ok(areSame(await world.load(keysOf(blocks)), blocks), 'the shared tier has them all');
    await world.closeLocal();
    await world.close();
  }
});

t.test(
  'a copy with a flipped bit is gone, counted and not offered again; others of its file stay',
  async (t) => {
    const world = await opened();
    const blocks = blocksOf(1, 3, 20_000);
    await world.storeAndCopy(blocks);
    for (const file of world.local.files.values()) {
      const page = [...file.pages].find(([, bytes]) =>
        Buffer.from(bytes).includes(Buffer.from(blocks[1]!.bytes.subarray(0, 64))),
      );
      page![1][5]! ^= 1;
    }
    const loaded = await world.loadLocal(keysOf(blocks));
    t.equal(loaded[1], LOAD_STATUS.gone);
    t.ok(sameBlock(loaded[0], blocks[0]!) && sameBlock(loaded[2], blocks[2]!));
    t.same(await world.held(keysOf(blocks)), [true, false, true]);
    t.equal(world.nvme.status.corrupt, 1);
    await world.closeLocal();
  },
);

t.test('the disk is never used beyond its bound: whole files go, those least read first', async (t) => {
  const world = await opened({ capacityBytes: 48 * MIB, segmentBytes: 8 * MIB });
  const blocks = largeBlocks(1, 80);
  const favourite = blocks[0]!;
  let mostBytes = 0;
  for (let i = 0; i < blocks.length; i += 4) {
    await world.storeAndCopy(blocks.slice(i, i + 4));
    await world.loadLocal([favourite.key]);
    mostBytes = Math.max(mostBytes, allocatedBytes(world));
    t.ok(world.nvme.status.usedBytes <= 48 * MIB);
  }
  t.ok(mostBytes <= 48 * MIB, `${mostBytes / MIB} MiB were on the disk`);
  t.ok(mostBytes > 32 * MIB, 'and it was used');
  const { segmentsEvicted, blocksEvicted, blocks: held, segments } = world.nvme.status;
  t.ok(
    segmentsEvicted >= 4 && blocksEvicted >= 28 && held >= 28,
    `${segmentsEvicted} files, ${blocksEvicted} blocks gone`,
  );
  t.equal(world.local.files.size, segments, 'files that went are unlinked');
  t.ok(sameBlock((await world.loadLocal([favourite.key]))[0], favourite), 'what is read stays');
  const latest = blocks.slice(-8);
  t.ok(areSame(await world.loadLocal(keysOf(latest)), latest), 'and what came last');
  await world.closeLocal();
  t.equal(world.localIo.openHandles, 0);
});

t.test('files that go while they are read from give whole blocks, or none', async (t) => {
  const world = await opened({ capacityBytes: 40 * MIB, segmentBytes: 8 * MIB });
  const blocks = largeBlocks(1, 80);
  await world.storeAndCopy(blocks.slice(0, 8));
  let rounds = 0;
  let isDone = false;
  const reading = (async () => {
    while (!isDone) {
      const loaded = await world.loadLocal(keysOf(blocks.slice(0, 4)));
      for (const [i, bytes] of loaded.entries()) {
        if (bytes !== LOAD_STATUS.gone && !sameBlock(bytes, blocks[i]!)) t.fail(`block ${i} is wrong`);
      }
      rounds++;
    }
  })();
  for (let i = 8; i < blocks.length; i += 4) await world.storeAndCopy(blocks.slice(i, i + 4));
  isDone = true;
  await reading;
  t.ok(rounds > 0 && world.nvme.status.segmentsEvicted > 0);
  await world.closeLocal();
  t.equal(world.localIo.openHandles, 0);
});

t.test('a full disk pauses the tier, which says so, shrinks to what there is, and goes on', async (t) => {
  const world = await opened({ segmentBytes: 8 * MIB }, { capacityBytes: 20 * MIB });
  const blocks = largeBlocks(1, 40);
  let refused = 0;
  for (let i = 0; i < blocks.length; i += 2) {
    if ((await world.storeAndCopy(blocks.slice(i, i + 2))) === 0) refused++;
    if (world.nvme.status.state !== 'paused') continue;
    t.equal(world.nvme.status.reason, 'the disk is full');
    t.notOk(world.nvme.isWriting);
    t.equal(await world.storeAndCopy([blockOf(500 + i, 100)]), 0, 'nothing is tried meanwhile');
    await world.pass(61_000);
  }
  t.ok(refused > 0 && world.nvme.status.writeFailures > 0);
  t.match(world.logged[0], /nothing is copied to the local disk .* the disk is full/);
  t.equal(world.nvme.status.state, 'open');
  const latest = blocks.slice(-2);
  for (let i = 0; i < blocks.length; i += 8) {
    const some = blocks.slice(i, i + 8);
    t.ok(areSame(await world.load(keysOf(some)), some), 'nobody missed anything');
  }
  t.ok((await world.held(keysOf(latest))).some((held) => held) || refused < 20);
  t.ok(world.nvme.status.segmentsEvicted > 0, 'it gave up files for new ones');
  await world.closeLocal();
});

t.test('writes that fail pause the tier longer each time; reads that fail say so', async (t) => {
  let failing: 'write' | 'read' | undefined = 'write';
  const world = await opened({}, { fault: ({ kind }) => (kind === failing ? { errno: 5 } : undefined) });
  const block = blockOf(1, 10_000);
  for (const pauseMs of [1000, 2000, 4000]) {
    t.equal(await world.storeAndCopy([block]), 0);
    t.match(world.nvme.status, { state: 'paused', reason: 'a write failed (errno 5)' });
    await world.pass(pauseMs * 0.6);
    t.equal(world.nvme.status.state, 'paused');
    await world.pass(pauseMs * 0.4);
    t.equal(world.nvme.status.state, 'open');
  }
  failing = undefined;
  t.equal(await world.storeAndCopy([block]), 1);
  failing = 'read';
  t.same(await world.loadLocal([block.key]), [LOAD_STATUS.failed]);
  failing = undefined;
  t.ok(areSame(await world.loadLocal([block.key]), [block]), 'an error of the device costs no copy');
  await world.closeLocal();
});

t.test('a disk that does not list its files is not used, and says why', async (t) => {
  const world = await opened({}, { fault: ({ kind }) => (kind === 'list' ? { errno: 5 } : undefined) });
  t.match(world.nvme.status, { state: 'off', reason: /cannot be listed/ });
  t.equal(await world.storeAndCopy([blockOf(1, 100)]), 0);
  t.same(await world.loadLocal([blockOf(1, 100).key]), [LOAD_STATUS.gone]);
  await world.closeLocal();
});

t.test('a block that was deleted is not served again, nor in place of one put anew', async (t) => {
  const world = await opened();
  const [old, fresh] = [blockOf(1, 20_000), blockOf(1, 20_000, 1)];
  const other = blockOf(2, 20_000);
  await world.storeAndCopy([old, other]);
  // By another node: nobody tells this disk.
  await world.tier.remove(world.namespace, old.key, 1);
  t.same(await world.loadLocal([old.key]), [undefined], 'the directory does not know it');
  // The first of another segment: at the same offset.
  await world.tier.seal();
  await world.store([fresh]);
  t.same(await world.held([old.key, other.key]), [false, true]);
  t.same(await world.loadLocal([old.key]), [LOAD_STATUS.gone]);
  await restart(world, true);
  t.same(await world.held([old.key, other.key]), [false, true], 'nor after a restart');
  t.same(await world.loadLocal([old.key]), [LOAD_STATUS.gone]);
  t.equal(await world.storeAndCopy([blockOf(3, 100)]), 1);
  const { rows } = await world.loadRows([fresh.key]);
  t.equal(rows.length > 0, true);
  await world.closeLocal();
});

t.test('a copy of the new block takes the place of the old one; `remove` drops copies at once', async (t) => {
  const world = await opened();
  const [old, fresh] = [blockOf(1, 20_000), blockOf(1, 20_000, 1)];
  await world.storeAndCopy([old]);
  await world.tier.remove(world.namespace, old.key, 1);
  await world.storeAndCopy([fresh]);
  t.ok(areSame(await world.loadLocal([old.key]), [fresh]));
  t.equal(world.nvme.status.blocks, 1);
  await restart(world, false);
  t.ok(areSame(await world.loadLocal([old.key]), [fresh]), 'after a restart too');
  world.nvme.remove(world.namespace, fresh.key, 1);
  t.same(await world.loadLocal([old.key]), [LOAD_STATUS.gone]);
  t.equal(world.nvme.status.blocks, 0);
  await world.pass(10);
  t.equal(world.local.files.size, 0, 'a file without copies is unlinked');
  await world.closeLocal();
});

t.test(
  'files of no use are unlinked at the start: damaged, of another namespace, with nothing of the cluster',
  async (t) => {
    const world = await opened();
    await world.storeAndCopy(blocksOf(1, 4, 10_000));
    await world.closeLocal();
    const [path, file] = [...world.local.files][0]!;
    world.local.files.set(
      path.replace(/[0-9a-f]{32}/, (id) => id.slice(0, 2) + '0'.repeat(30)),
      file.clone(),
    );
    await world.openLocal();
    t.same([...world.local.files.keys()], [path], 'the file under another name is damaged');
    t.equal(world.nvme.status.blocks, 4);
    await world.closeLocal();
    await world.tier.remove(
      world.namespace,
      Uint32Array.from(keysOf(blocksOf(1, 4, 1)).flatMap((key) => [...key])),
      4,
    );
    await world.tier.seal();
    await world.tier.reclaim();
    await world.openLocal();
    t.match(world.nvme.status, { blocks: 0, segments: 0 }, 'what the cluster no longer has is left out');
    t.equal(world.local.files.size, 0);
    await world.closeLocal();
  },
);

t.test('a smaller capacity than before is kept to after a restart', async (t) => {
  const world = await opened({ segmentBytes: 8 * MIB });
  const blocks = largeBlocks(1, 48);
  for (let i = 0; i < 48; i += 4) await world.storeAndCopy(blocks.slice(i, i + 4));
  await world.closeLocal();
  await world.openLocal({ capacityBytes: 24 * MIB, segmentBytes: 8 * MIB });
  await world.until(() => world.nvme.status.usedBytes <= 24 * MIB);
  t.ok(allocatedBytes(world) <= 24 * MIB);
  t.ok(world.nvme.status.blocks > 8);
  await world.closeLocal();
});

t.test('blocks that are a large part of the capacity are not taken', async (t) => {
  const world = await opened();
  t.equal(world.nvme.fits(8 * MIB), true);
  t.equal(world.nvme.fits(8 * MIB + 1), false);
  t.equal(await world.storeAndCopy([blockOf(1, 9 * MIB)]), 0);
  t.equal(world.nvme.status.writeFailures, 0);
  await world.closeLocal();
});

t.test('the index keeps to its bound of entries by giving up files', async (t) => {
  const world = await opened({ entriesMax: 20, segmentBytes: 8 * MIB });
  for (let i = 0; i < 40; i += 4) await world.storeAndCopy(largeBlocks(i, 4));
  t.ok(world.nvme.status.blocks <= 20, `${world.nvme.status.blocks} entries`);
  t.ok(world.nvme.status.segmentsEvicted > 0);
  await world.closeLocal();
});

function allocatedBytes(world: NvmeWorld): number {
  let pages = 0;
  for (const file of world.local.files.values()) pages += file.pages.size;
  return pages * 4096;
}
