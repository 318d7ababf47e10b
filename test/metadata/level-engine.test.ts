import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LevelEngine } from '@refill/metadata';
import t from 'tap';
import { metadataEngineCompliance } from '../compliance/metadata-engine.ts';

metadataEngineCompliance(t, (t) => new LevelEngine({ path: t.testdir() }));

t.test('a database in use is refused with the reason', async (t) => {
  const path = t.testdir();
  const first = new LevelEngine({ path });
  await first.start();
  t.teardown(() => first.stop());
  await t.rejects(new LevelEngine({ path }).start(), { code: 'ERR_NODE_IDENTITY_TAKEN' });
});

t.test('a damaged database is refused with the remedy', async (t) => {
  const path = t.testdir();
  const engine = new LevelEngine({ path });
  await engine.start();
  await engine.stop();
  const manifest = readdirSync(path).find((name) => name.startsWith('MANIFEST'))!;
  writeFileSync(join(path, manifest), 'garbage that is no log record at all');
  await t.rejects(new LevelEngine({ path }).start(), { code: 'ERR_CORRUPT', fix: /refill rebuild/ });
});

t.test('a path that is a file fails as storage', async (t) => {
  const path = join(t.testdir({ file: 'x' }), 'file');
  await t.rejects(new LevelEngine({ path }).start(), { code: 'ERR_STORAGE_FAILED' });
});

t.test(
  'what was logged before is synced before a barrier is written, and after a range was cleared',
  async (t) => {
    const [key, later] = [Uint8Array.of(1), Uint8Array.of(2)];
    const seen: (number | undefined)[][] = [];
    const path = t.testdir();
    const engine = new LevelEngine({
      path,
      syncLogs: async (folder) => {
        t.equal(folder, path);
        seen.push((await engine.getMany([key, later])).map((value) => value?.[0]));
      },
    });
    await engine.start();
    t.teardown(() => engine.stop());
    await engine.write([{ key, value: Uint8Array.of(1) }], { durable: true });
    await engine.write([{ key, value: Uint8Array.of(2) }]);
    t.same(seen, [], 'only barriers need it');
    const first = engine.write([{ key, value: Uint8Array.of(3) }], { independent: true });
    const barrier = engine.write([{ key: later, value: Uint8Array.of(4) }], { durable: true, barrier: true });
    await Promise.all([first, barrier]);
    t.same(seen, [[3, undefined]]);
    await engine.clear({ gte: later, lt: Uint8Array.of(3) });
    t.same(seen, [
      [3, undefined],
      [3, undefined],
    ]);
  },
);

t.test('a log that cannot be synced fails the barrier, and nothing of it is there', async (t) => {
  const engine = new LevelEngine({
    path: t.testdir(),
    syncLogs: () => Promise.reject(new Error('EIO')),
  });
  await engine.start();
  t.teardown(() => engine.stop());
  const key = Uint8Array.of(1);
  const barrier = engine.write([{ key, value: key }], { durable: true, barrier: true });
  await t.rejects(barrier, { code: 'ERR_STORAGE_FAILED', message: /refused a write: EIO/ });
  t.same(await engine.getMany([key]), [undefined]);
});

t.test('a write after stop rejects', async (t) => {
  const engine = new LevelEngine({ path: t.testdir() });
  await engine.start();
  await engine.stop();
  await t.rejects(engine.write([{ key: Uint8Array.of(1), value: Uint8Array.of(1) }]));
});
