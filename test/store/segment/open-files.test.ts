import t from 'tap';
import { OpenFiles } from '../../../packages/store/src/segment/open-files.ts';
import { blockOf, TierWorld } from '../../fixtures/tier-world.ts';

/** `count` sealed segments and what opens them. */
async function opened(
  count: number,
  filesMax: number,
): Promise<{ world: TierWorld; files: OpenFiles; ids: number[] }> {
  const world = new TierWorld({ payloadBytes: 2 ** 21 });
  await world.boot();
  await world.open();
  for (let n = 0; n < count; n++) {
    await world.store([blockOf(n, 5000)]);
    await world.tier.seal();
  }
  const { io, directory, clock } = world;
  const files = new OpenFiles({ io, directory, clock }, { filesMax });
  return { world, files, ids: directory.segments().map(({ index }) => index) };
}

t.test('simultaneous uses share one open', async (t) => {
  const { world, files, ids } = await opened(1, 4);
  const before = world.io.openHandles;
  const uses = await Promise.all([1, 2, 3].map(() => files.use(ids[0]!, 1_000)));
  t.equal(world.io.openHandles, before + 1);
  t.equal(new Set(uses.map(({ file }) => file)).size, 1);
  for (const use of uses) files.release(use);
  files.closeAll();
  t.equal(world.io.openHandles, before);
  await world.close();
});

t.test('the one unused for longest is closed, one in use never', async (t) => {
  const { world, files, ids } = await opened(4, 2);
  const before = world.io.openHandles;
  const held = await files.use(ids[0]!, 1_000);
  for (const id of ids.slice(1)) files.release(await files.use(id, 1_000));
  t.equal(world.io.openHandles, before + 2);
  t.equal(files.tryUse(ids[1]!), undefined);
  const again = files.tryUse(ids[0]!);
  t.equal(again?.file, held.file);
  files.release(held);
  files.release(again!);
  files.closeAll();
  t.equal(world.io.openHandles, before);
  await world.close();
});

t.test('whenIdle waits for every use, also of a file that was replaced meanwhile', async (t) => {
  const { world, files, ids } = await opened(1, 4);
  const before = world.io.openHandles;
  const first = await files.use(ids[0]!, 1_000);
  files.drop(ids[0]!);
  const second = await files.use(ids[0]!, 1_000);
  t.not(second.file, first.file);
  let idle = false;
  const waiting = files.whenIdle(ids[0]!).then(() => {
    idle = true;
  });
  files.release(second);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(idle, false);
  files.release(first);
  await waiting;
  t.equal(world.io.openHandles, before, 'both are closed');
  await files.whenIdle(ids[0]!);
  await world.close();
});

t.test(
  'a segment that the directory forgot is gone, and a hung open costs its own deadline only',
  async (t) => {
    const { world, files, ids } = await opened(1, 4);
    await t.rejects(files.use(999, 1_000), { code: 'ERR_STORAGE_FAILED' });
    world.io.options.fault = (op) => (op.kind === 'open' ? { hang: true } : undefined);
    const slow = files.use(ids[0]!, 10_000);
    slow.catch(() => {});
    await t.rejects(files.use(ids[0]!, 5), { code: 'ERR_DEADLINE' });
    await t.rejects(slow);
    world.io.options.fault = undefined;
    files.release(await files.use(ids[0]!, 1_000));
    files.closeAll();
    await world.close();
  },
);

t.test(
  'an index that stands for another segment by now opens that one, not the file that was open',
  async (t) => {
    const { world, files, ids } = await opened(2, 4);
    const [first, second] = ids.map((id) => world.directory.segment(id)!);
    const before = world.io.openHandles;
    const use = await files.use(first!.index, 1_000);
    const segment = world.directory.segment.bind(world.directory);
    world.directory.segment = (index) =>
      index === first!.index ? { ...second!, index: first!.index } : segment(index);
    t.equal(files.tryUse(first!.index), undefined);
    const other = await files.use(first!.index, 1_000);
    t.not(other.file, use.file);
    t.same(other.segmentId, second!.id);
    files.release(use);
    files.release(other);
    files.closeAll();
    t.equal(world.io.openHandles, before);
    await world.close();
  },
);
