import { join } from 'node:path';
import t from 'tap';
import { type FaultOp, mountFaultFs } from '../fixtures/fault-fs.ts';
import { nodePlace, startNodeProcess } from '../fixtures/node-process.ts';
import { requiresFuse } from '../fixtures/requires.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

t.setTimeout(600_000);

/** Fails the n-th operation for every n, until a run meets no fault any more. */
const sweeps: { op: FaultOp[]; errno: string }[] = [
  { op: ['write'], errno: 'EIO' },
  { op: ['write'], errno: 'ENOSPC' },
  { op: ['write'], errno: 'EDQUOT' },
  { op: ['fdatasync', 'fsync', 'fsyncdir'], errno: 'EIO' },
  { op: ['open', 'create', 'truncate', 'mkdir', 'rename'], errno: 'ESTALE' },
  { op: ['open', 'create', 'truncate', 'mkdir', 'rename'], errno: 'ENOSPC' },
];

for (const [index, { op, errno }] of sweeps.entries()) {
  t.test(`${errno} at the n-th ${op.join(', ')}, for every n, loses nothing acknowledged`, async (t) => {
    if (!requiresFuse(t)) return;
    const mount = await mountFaultFs(t);
    const place = nodePlace(t, join(mount.path, 'root'));
    const blocks = new StoredBlocks(1000 + index);
    const sum = async () => {
      const counts = await mount.counts();
      return op.reduce((total, one) => total + counts[one], 0);
    };
    await mount.logWrites();
    const node = await startNodeProcess(t, place, { args: ['--arena', '64MiB', '--segment', '8MiB'] });
    let n = 1;
    for (let clean = false; !clean && n < 200; n++) {
      const { store, namespace } = await openStored(place.socketPath);
      const before = await sum();
      await mount.failNth({ op, n, errno });
      await blocks.put(namespace, 12);
      await blocks.put(namespace, 12);
      const { wrong } = await blocks.check(namespace);
      if (wrong.length > 0) t.same(wrong, [], `with the fault at ${n}`);
      clean = (await sum()) - before < n;
      await mount.clear();
      await store.close();
    }
    t.ok(n > 2, `${n - 1} operations were failed, one at a time`);
    await node.end('SIGTERM');
    await startNodeProcess(t, place, { args: ['--arena', '64MiB', '--segment', '8MiB'] });
    const { store, namespace } = await openStored(place.socketPath);
    t.same((await blocks.check(namespace)).wrong, []);
    const again = await blocks.put(namespace, 4);
    t.same(again, ['stored', 'stored', 'stored', 'stored'], 'and the node writes again');
    await store.close();
  });
}

for (const errno of ['EIO', 'ESTALE']) {
  t.test(`${errno} at the n-th read of a cold node, for every n, is a miss and no loss`, async (t) => {
    if (!requiresFuse(t)) return;
    const mount = await mountFaultFs(t);
    const place = nodePlace(t, join(mount.path, 'root'));
    const blocks = new StoredBlocks(1500);
    const reads = async () => (await mount.counts()).read;
    let n = 0;
    let clean = false;
    while (!clean && n++ < 60) {
      const node = await startNodeProcess(t, place, { args: ['--arena', '64MiB', '--segment', '8MiB'] });
      const { store, namespace } = await openStored(place.socketPath);
      if (n === 1) for (let put = 0; put < 6; put++) await blocks.put(namespace, 16);
      else {
        const before = await reads();
        await mount.failNth({ op: 'read', n: n - 1, errno });
        const faulty = await blocks.check(namespace, { lossAllowed: true });
        if (faulty.wrong.length > 0) t.same(faulty.wrong, [], `with the fault at read ${n - 1}`);
        clean = (await reads()) - before < n - 1;
        await mount.clear();
        const { wrong } = await blocks.check(namespace);
        if (wrong.length > 0) t.same(wrong, [], `after the fault at read ${n - 1}`);
      }
      await store.close();
      await node.end('SIGTERM');
    }
    t.ok(clean && n > 3, `${n - 1} reads were failed, one at a time`);
  });
}

t.test('no offset of a segment is ever written twice, whatever fails', async (t) => {
  if (!requiresFuse(t)) return;
  const mount = await mountFaultFs(t);
  const place = nodePlace(t, join(mount.path, 'root'));
  const blocks = new StoredBlocks(2000);
  await mount.logWrites();
  for (let round = 0; round < 4; round++) {
    const node = await startNodeProcess(t, place, { args: ['--arena', '64MiB', '--segment', '8MiB'] });
    const { store, namespace } = await openStored(place.socketPath);
    for (let n = 1; n < 12; n += 2) {
      await mount.failNth({ op: round % 2 ? 'fdatasync' : 'write', n, errno: 'EIO', path: '.seg' });
      await blocks.put(namespace, 10);
      await mount.clear();
    }
    await node.end(round % 2 ? 'SIGKILL' : 'SIGTERM');
    await store.close();
  }
  const overlaps = await mount.overlaps();
  t.ok(overlaps.writes > 0, 'writes were seen');
  t.equal(overlaps.bytes, 0, 'no byte was written a second time');
  await startNodeProcess(t, place);
  const { store, namespace } = await openStored(place.socketPath);
  t.same((await blocks.check(namespace)).wrong, []);
  await store.close();
});

t.test('short and torn writes are failures, never data', async (t) => {
  if (!requiresFuse(t)) return;
  const mount = await mountFaultFs(t);
  const place = nodePlace(t, join(mount.path, 'root'));
  const blocks = new StoredBlocks(3000);
  let node = await startNodeProcess(t, place);
  for (let n = 1; n <= 6; n++) {
    const { store, namespace } = await openStored(place.socketPath);
    await mount.short({ op: 'write', n, bytes: 4096 * n, path: '.seg' });
    await blocks.put(namespace, 8);
    await mount.torn({ op: 'write', n, seed: n, errno: 'EIO', path: '.seg' });
    await blocks.put(namespace, 8);
    await mount.clear();
    await store.close();
  }
  await node.end('SIGKILL');
  node = await startNodeProcess(t, place);
  const { store, namespace } = await openStored(place.socketPath);
  t.same((await blocks.check(namespace)).wrong, []);
  await mount.short({ op: 'read', count: 3, bytes: 4096 });
  t.same(
    (await blocks.check(namespace, { lossAllowed: true })).wrong,
    [],
    'short reads never give part of a block',
  );
  await store.close();
});

t.test('writes torn in silence are caught by the reader', async (t) => {
  if (!requiresFuse(t)) return;
  const mount = await mountFaultFs(t);
  const place = nodePlace(t, join(mount.path, 'root'));
  const blocks = new StoredBlocks(4000);
  const node = await startNodeProcess(t, place);
  const first = await openStored(place.socketPath);
  await mount.torn({ op: 'write', count: 0, seed: 5, path: '.seg' });
  for (let put = 0; put < 5; put++) await blocks.put(first.namespace, 8);
  await mount.clear();
  await first.store.close();
  await node.end('SIGTERM');
  await startNodeProcess(t, place);
  const { store, namespace } = await openStored(place.socketPath);
  const { wrong, hits } = await blocks.check(namespace, { lossAllowed: true });
  t.same(wrong, []);
  t.ok(hits < blocks.acknowledged.size, 'some blocks were damaged, and read as misses');
  t.ok((await store.status()).reads.corrupt > 0, 'and were counted');
  await store.close();
});
