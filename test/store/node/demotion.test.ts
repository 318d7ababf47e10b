import { LOOKUP_ROW, LOOKUP_ROW_WORDS, LOOKUP_TIER, PUT_STATUS, ROW_STATUS } from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '@refill/store';
import t from 'tap';
import type { BlockSource } from '../../../packages/store/src/source/block-source.ts';
import { settle } from '../../fixtures/manual-clock.ts';
import { MemoryNvme } from '../../fixtures/memory-nvme.ts';
import {
  createWorld,
  get,
  keysOf,
  openSession,
  payload,
  put,
  UNIT,
  type World,
} from '../../fixtures/node-world.ts';

interface DiskWorld extends World {
  nvme: MemoryNvme;
}

async function worldWith(options: { isWriteThrough?: boolean } = {}): Promise<DiskWorld> {
  let nvme: MemoryNvme | undefined;
  const world = await createWorld({
    paneUnits: [64],
    partsOf: (io) => {
      nvme = new MemoryNvme(io, options);
      return { nvme };
    },
  });
  return Object.assign(world, { nvme: nvme! });
}

type Opened = Awaited<ReturnType<typeof openSession>>;

/** Puts blocks of four units one after the other, each stored before the next. */
async function putAll(
  world: DiskWorld,
  { session, namespace }: Opened,
  from: number,
  to: number,
): Promise<void> {
  for (let key = from; key < to; key++) {
    const status = await put(world, session, namespace, key, payload(key, 4 * UNIT), 'shared');
    if (status !== PUT_STATUS.stored) throw new Error(`put of ${key}: ${status}`);
    await world.clock.advance(1);
  }
}

async function getAll(world: DiskWorld, { session, namespace }: Opened, keys: number[]): Promise<boolean> {
  let isRight = true;
  for (const key of keys) {
    const [block] = await get(world, session, namespace, [key]);
    isRight &&= block!.status === ROW_STATUS.hit;
    isRight &&= Buffer.compare(block!.bytes, payload(key, 4 * UNIT)) === 0;
    if (block!.status === ROW_STATUS.hit) session.release(Uint32Array.of(block!.slot), 1);
    await world.clock.advance(1);
  }
  return isRight;
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

t.test('what leaves memory is copied before, and read from the disk afterwards', async (t) => {
  const world = await worldWith();
  const opened = await openSession(world);
  await putAll(world, opened, 0, 40);
  t.ok(world.nvme.copies.size >= 24, `${world.nvme.copies.size} of 40 are on the disk, 16 fit into memory`);
  world.shared.loads = 0;
  t.ok(await getAll(world, opened, numbers(0, 24)));
  t.equal(world.shared.loads, 0, 'the segments are not read');
  const { tiers } = world.node.status();
  t.match(tiers, {
    nvme: { hits: 24, bytes: 24 * 4 * UNIT, dropped: 0 },
    shared: { hits: 0 },
    peer: { hits: 0 },
  });
  t.ok(tiers.nvme!.latency.count > 0);
});

t.test('blocks whose copy is there are not written again', async (t) => {
  const world = await worldWith();
  const opened = await openSession(world);
  await putAll(world, opened, 0, 40);
  for (let round = 0; round < 3; round++) t.ok(await getAll(world, opened, numbers(0, 40)));
  const written = world.nvme.groups.reduce((sum, count) => sum + count, 0);
  t.equal(written, 40, 'each once, however often they come and go');
});

t.test('with write-through blocks are copied once they are stored', async (t) => {
  const world = await worldWith({ isWriteThrough: true });
  const { session, namespace } = await openSession(world);
  world.shared.holdStores = true;
  const putting = put(world, session, namespace, 1, payload(1, UNIT), 'shared');
  await world.clock.advance(5);
  t.equal(world.nvme.copies.size, 0, 'not before: the copy is bound to its place in a segment');
  world.shared.letGo();
  await putting;
  await world.clock.advance(5);
  t.equal(world.nvme.copies.size, 1);
  await put(world, session, namespace, 2, payload(2, UNIT), 'memory');
  world.shared.holdStores = false;
  await world.clock.advance(100);
  t.equal(world.nvme.copies.size, 2, 'also what was written behind');
});

t.test('a disk that does not keep up delays neither puts nor reads: blocks go without a copy', async (t) => {
  const world = await worldWith();
  const opened = await openSession(world);
  world.nvme.holdCopies = true;
  await putAll(world, opened, 0, 60);
  const { backlogBytes, dropped } = world.node.status().tiers.nvme!;
  t.ok(backlogBytes <= 8 * UNIT, 'what waits is bounded');
  t.ok(dropped >= 40, `${dropped} went without`);
  t.ok(await getAll(world, opened, numbers(0, 60)));
  world.nvme.holdCopies = false;
  world.nvme.letGo();
  await world.clock.advance(10);
  t.equal(world.node.status().tiers.nvme!.backlogBytes, 0);
});

t.test('a paused disk is offered nothing, and what it should have had is counted', async (t) => {
  const world = await worldWith();
  const opened = await openSession(world);
  world.nvme.isWriting = false;
  await putAll(world, opened, 0, 40);
  t.equal(world.nvme.groups.length, 0);
  t.ok(world.node.status().tiers.nvme!.dropped >= 24);
  t.ok(await getAll(world, opened, numbers(0, 40)));
});

t.test('a block that is read while it is copied stays in memory', async (t) => {
  const world = await worldWith();
  const opened = await openSession(world);
  await putAll(world, opened, 0, 12);
  world.nvme.holdCopies = true;
  await putAll(world, opened, 12, 16);
  t.ok(await getAll(world, opened, [0]));
  const before = world.node.status().tiers.dram.hits;
  world.nvme.holdCopies = false;
  world.nvme.letGo();
  await world.clock.advance(5);
  await putAll(world, opened, 16, 20);
  t.ok(await getAll(world, opened, [0]));
  t.equal(world.node.status().tiers.dram.hits, before + 1);
});

t.test('a copy that is gone, or a disk that fails, is made up for by the segments', async (t) => {
  const world = await worldWith();
  const opened = await openSession(world);
  await putAll(world, opened, 0, 40);
  for (const outcome of [LOAD_STATUS.gone, LOAD_STATUS.failed]) {
    world.nvme.outcomeOfLoad = () => outcome;
    t.ok(await getAll(world, opened, numbers(0, 40)));
  }
  t.equal(world.node.status().tiers.nvme!.hits, 0);
  t.ok(world.node.status().tiers.shared.hits > 40);
});

t.test('what a peer gave is not kept: it may be an older block of that key', async (t) => {
  let nvme: MemoryNvme | undefined;
  let asked = 0;
  const world: DiskWorld = Object.assign(
    await createWorld({
      paneUnits: [64],
      partsOf: (io) => {
        nvme = new MemoryNvme(io);
        const peer: BlockSource = {
          name: 'peer:b',
          tier: 'peer',
          mayHold: () => true,
          load: async (rows, count) => {
            for (let i = 0; i < count; i++) {
              asked++;
              const row = i * LOAD_ROW_WORDS;
              io.bytesAt(0, rows[row + LOAD_ROW.bufferOffsetLo]!, 4 * UNIT).fill(7);
              rows[row + LOAD_ROW.status] = LOAD_STATUS.done;
            }
          },
        };
        return { nvme, peer: () => peer };
      },
    }),
    { nvme: nvme! },
  );
  const opened = await openSession(world);
  await putAll(world, opened, 0, 40);
  world.nvme.copies.clear();
  world.shared.holder = 3;
  await getAll(world, opened, [0, 0, 0]);
  t.equal(asked, 1);
  t.equal(world.node.status().tiers.peer.hits, 1);
  world.shared.holder = 0;
  // Blocks that are used push out what was.
  for (const key of numbers(40, 90)) {
    await putAll(world, opened, key, key + 1);
    await getAll(world, opened, [key, key]);
  }
  t.ok(world.nvme.copies.size > 20 && !world.nvme.copies.has(keysOf(0).join()));
  const rows = new Uint32Array(LOOKUP_ROW_WORDS);
  await opened.session.lookup(opened.namespace, keysOf(0), 1, rows);
  t.equal(rows[LOOKUP_ROW.tier], LOOKUP_TIER.shared, 'it has left memory');
});

t.test('a deleted block leaves the disk too', async (t) => {
  const world = await worldWith();
  const opened = await openSession(world);
  await putAll(world, opened, 0, 40);
  const { session, namespace } = opened;
  t.equal(await session.delete(namespace, keysOf(0, 1), 2, 1000), 2);
  t.notOk(world.nvme.copies.has(keysOf(0).join()) || world.nvme.copies.has(keysOf(1).join()));
  const [block] = await get(world, session, namespace, [0]);
  t.equal(block!.status, ROW_STATUS.miss);
});

t.test('a lookup names the disk as the tier, and an explanation plans with it', async (t) => {
  const world = await worldWith();
  const { session, namespace } = await openSession(world);
  await putAll(world, { session, namespace }, 0, 40);
  const rows = new Uint32Array(3 * LOOKUP_ROW_WORDS);
  await session.lookup(namespace, keysOf(0, 39, 99), 3, rows);
  t.same(
    [0, 1, 2].map((i) => rows[i * LOOKUP_ROW_WORDS + LOOKUP_ROW.tier]),
    [LOOKUP_TIER.nvme, LOOKUP_TIER.dram, LOOKUP_TIER.miss],
  );
  const { plan } = await session.explain(namespace, keysOf(0, 1), 2);
  t.match(plan, [
    { name: 'dram', blocks: 0 },
    { name: 'nvme', tier: 'nvme', blocks: 2 },
  ]);
});

t.test('the disk starts and stops with the node, and nothing is left borrowed', async (t) => {
  const world = await worldWith({ isWriteThrough: true });
  const opened = await openSession(world);
  world.nvme.holdCopies = true;
  await putAll(world, opened, 0, 3);
  const stopping = world.node.stop();
  world.nvme.letGo();
  await settle();
  await stopping;
  t.same(world.nvme.calls, ['start', 'stop']);
});
