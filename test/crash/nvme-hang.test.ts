import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BlockStore, NvmeStatus } from '@refill/interface';
import t from 'tap';
import { mountFaultFs } from '../fixtures/fault-fs.ts';
import { nodePlace, startNodeProcess } from '../fixtures/node-process.ts';
import { requiresFuse } from '../fixtures/requires.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

t.setTimeout(240_000);

async function until(store: BlockStore, holds: (nvme: NvmeStatus) => boolean): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (holds((await store.status()).tiers.nvme!)) return;
    await sleep(50);
  }
  throw new Error(`never: ${JSON.stringify((await store.status()).tiers)}`);
}

t.test(
  'a local disk that hangs costs neither a block nor a put, and ends neither node nor stop',
  async (t) => {
    if (!requiresFuse(t)) return;
    const mount = await mountFaultFs(t);
    const place = nodePlace(t);
    const args = ['--arena', '64MiB', '--segment', '16MiB', '--nvme', join(mount.path, 'nvme')];
    const options = { args: [...args, '--nvme-mode', 'write-through', '--nvme-capacity', '64MiB'] };
    const first = await startNodeProcess(t, place, options);
    const seeded = await openStored(place.socketPath);
    const blocks = new StoredBlocks(1);
    await until(seeded.store, ({ state }) => state === 'open');
    await blocks.put(seeded.namespace, 40);
    await until(seeded.store, ({ blocks }) => blocks === 40);
    await seeded.store.close();
    await first.end('SIGTERM');

    const node = await startNodeProcess(t, place, options);
    const { store, namespace } = await openStored(place.socketPath);
    await until(store, ({ state }) => state === 'open');
    t.equal((await store.status()).tiers.nvme!.blocks, 40);
    await mount.hang();
    t.same((await blocks.check(namespace)).wrong, [], 'every block is there');
    const { tiers, sources } = await store.status();
    t.ok(tiers.shared.hits > 0 && tiers.nvme!.hits < 40, `${tiers.shared.hits} of 40 came from the segments`);
    t.ok(sources.find(({ name }) => name === 'nvme')!.failures > 0, 'the disk is blamed');
    const more = new StoredBlocks(2);
    t.ok(
      (await more.put(namespace, 10)).every((outcome) => outcome === 'stored'),
      'puts become durable',
    );
    t.same((await more.check(namespace)).wrong, []);
    await store.close();
    mount.resume();
    t.equal((await node.end('SIGTERM')).code, 0);
  },
);
