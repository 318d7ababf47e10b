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

t.test('a write after stop rejects', async (t) => {
  const engine = new LevelEngine({ path: t.testdir() });
  await engine.start();
  await engine.stop();
  await t.rejects(engine.write([{ key: Uint8Array.of(1), value: Uint8Array.of(1) }]));
});
