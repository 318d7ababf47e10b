import { join } from 'node:path';
import t from 'tap';
import { mountLoopFs } from '../fixtures/loop-fs.ts';
import { nodePlace, startNodeProcess } from '../fixtures/node-process.ts';
import { keyOfNumber } from '../fixtures/payload.mjs';
import { requiresLoopDevices } from '../fixtures/requires.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

t.setTimeout(180_000);

t.test(
  'a disk that fills up refuses puts, keeps what it has, and takes puts again after a deletion',
  async (t) => {
    if (!requiresLoopDevices(t)) return;
    const disk = await mountLoopFs(t, 48 * 1024 * 1024);
    const place = nodePlace(t, join(disk.path, 'root'));
    const args = ['--arena', '64MiB', '--segment', '8MiB'];
    let node = await startNodeProcess(t, place, { args });
    const blocks = new StoredBlocks(1);
    let { store, namespace } = await openStored(place.socketPath);

    let failed = 0;
    for (let put = 0; put < 200 && failed < 3; put++) {
      const outcomes = await blocks.put(namespace, 16);
      if (outcomes.some((outcome) => outcome !== 'stored')) failed++;
    }
    t.equal(failed, 3, 'the disk is full');
    t.ok(blocks.acknowledged.size > 100);
    t.same((await blocks.check(namespace)).wrong, []);
    t.ok((await store.status()).writes.failures > 0, 'the failures are counted');
    await store.close();
    t.equal((await node.end('SIGTERM')).code, 0, 'a node on a full disk stops cleanly');

    node = await startNodeProcess(t, place, { args });
    ({ store, namespace } = await openStored(place.socketPath));
    t.same((await blocks.check(namespace)).wrong, [], 'and starts again with everything there');

    const kept = [...blocks.acknowledged].filter((number) => number % 64 === 0);
    const deleted = [...blocks.acknowledged].filter((number) => number % 64 !== 0);
    for (let from = 0; from < deleted.length; from += 1000) {
      await namespace.delete(
        deleted.slice(from, from + 1000).map((number) => keyOfNumber(1, number)),
        { deadlineMs: 30_000 },
      );
    }
    for (const number of kept) await namespace.delete([keyOfNumber(1, number)], { deadlineMs: 30_000 });
    const after = new StoredBlocks(2);
    let outcomes = await after.put(namespace, 8);
    for (let wait = 0; wait < 60 && outcomes.some((outcome) => outcome !== 'stored'); wait++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      outcomes = await after.put(namespace, 8);
    }
    t.ok(
      outcomes.every((outcome) => outcome === 'stored'),
      `deletion freed segments without needing space: ${outcomes}`,
    );
    await store.close();
  },
);
