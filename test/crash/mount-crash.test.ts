import { join } from 'node:path';
import t from 'tap';
import { mountFaultFs } from '../fixtures/fault-fs.ts';
import { nodePlace, runRefill, startNodeProcess } from '../fixtures/node-process.ts';
import { requiresFuse } from '../fixtures/requires.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

const crashes = Number(process.env.REFILL_MOUNT_CRASHES ?? 12);
const seed = Number(process.env.REFILL_SEED ?? Date.now() % 1_000_000);
t.setTimeout(60_000 + crashes * 10_000);

t.test(
  `what was acknowledged survives ${crashes} power cuts of the file system (seed ${seed})`,
  async (t) => {
    if (!requiresFuse(t)) return;
    const mount = await mountFaultFs(t);
    const place = nodePlace(t, join(mount.path, 'root'));
    const blocks = new StoredBlocks(seed);
    for (let crash = 0; crash < crashes; crash++) {
      const node = await startNodeProcess(t, place);
      await mount.volatile();
      const { store, namespace } = await openStored(place.socketPath);
      for (let put = 0; put < 6; put++) await blocks.put(namespace, 5);
      // One more put is on its way when the power goes.
      const late = blocks.put(namespace, 8).catch(() => undefined);
      await mount.crash(
        seed + crash,
        crash % 2 === 0 ? { keep: 1, drop: 8, tear: 1 } : { keep: 1, drop: 1, tear: 2 },
      );
      await node.end('SIGKILL');
      await late;
      await store.close();
    }
    await mount.volatile(false);
    let node = await startNodeProcess(t, place);
    let opened = await openStored(place.socketPath);
    const recovered = await blocks.check(opened.namespace);
    t.same(recovered.wrong, [], `${blocks.acknowledged.size} acknowledged, ${recovered.hits} there`);
    await opened.store.close();
    t.equal((await node.end('SIGTERM')).code, 0);

    const rebuilt = await runRefill([
      'rebuild',
      '--root',
      place.root,
      '--state',
      join(place.base, 'other-state'),
      '--json',
    ]);
    t.equal(rebuilt.code, 0, rebuilt.stderr);
    node = await startNodeProcess(t, { ...place, state: join(place.base, 'other-state') });
    opened = await openStored(place.socketPath);
    t.same((await blocks.check(opened.namespace)).wrong, [], 'and after a rebuild from segments alone');
    await opened.store.close();
  },
);

t.test('a file system whose fsync lies may lose blocks but never changes one', async (t) => {
  if (!requiresFuse(t)) return;
  const mount = await mountFaultFs(t);
  const place = nodePlace(t, join(mount.path, 'root'));
  const blocks = new StoredBlocks(seed + 1);
  for (let crash = 0; crash < 3; crash++) {
    const node = await startNodeProcess(t, place);
    await mount.volatile();
    await mount.lie({ op: ['fsync', 'fdatasync'], count: 0 });
    const { store, namespace } = await openStored(place.socketPath);
    for (let put = 0; put < 6; put++) await blocks.put(namespace, 5);
    await mount.crash(seed + crash, { keep: 1, drop: 1, tear: 1 });
    await node.end('SIGKILL');
    await store.close();
    await mount.clear();
  }
  await startNodeProcess(t, place);
  const { store, namespace } = await openStored(place.socketPath);
  const { wrong, hits } = await blocks.check(namespace, { lossAllowed: true });
  t.same(wrong, [], `${hits} of ${blocks.acknowledged.size} are still there`);
  await store.close();
});
