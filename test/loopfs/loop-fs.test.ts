import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, stat, statfs, unlink, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { mountLoopFs } from '../fixtures/loop-fs.ts';
import { requiresLoopDevices } from '../fixtures/requires.ts';
import { uringOnce } from '../fixtures/uring-once.ts';

const MIB = 1 << 20;

t.test('a small file system really fills up, and removing makes room', async (t) => {
  if (!requiresLoopDevices(t)) return;
  const { path } = mountLoopFs(t, 16 * MIB);
  const { bavail, bsize } = await statfs(path);
  t.ok(bavail * bsize < 16 * MIB);
  const filler = join(path, 'filler');
  await t.rejects(writeFile(filler, Buffer.alloc(17 * MIB)), { code: 'ENOSPC' });
  t.ok((await stat(filler)).size < 16 * MIB);
  await unlink(filler);
  await t.resolves(writeFile(join(path, 'after'), Buffer.alloc(MIB)));
});

t.test('O_DIRECT writes by io_uring end with ENOSPC too', async (t) => {
  if (!requiresLoopDevices(t)) return;
  const { path } = mountLoopFs(t, 16 * MIB);
  const filler = join(path, 'filler');
  await writeFile(filler, '');
  const results: string[] = [];
  for (let at = 0; at < 20 && !results.at(-1)?.startsWith('-'); at++)
    results.push(uringOnce('write', filler, at * MIB, MIB, 1));
  t.equal(results.at(-1), `${-constants.errno.ENOSPC}`);
  t.ok(results.length > 5 && results.length <= 16, 'after most of the space was used');
});

t.test('a sparse file promises more than there is, and fails only when it is written', async (t) => {
  if (!requiresLoopDevices(t)) return;
  const { path } = mountLoopFs(t, 8 * MIB);
  const file = await open(join(path, 'segment'), 'w');
  t.teardown(() => file.close());
  await t.resolves(file.truncate(64 * MIB));
  const fill = async (): Promise<void> => {
    for (let at = 0; at < 64; at++) {
      await file.write(Buffer.alloc(MIB), 0, MIB, at * MIB);
      await file.datasync();
    }
  };
  await t.rejects(fill(), { code: 'ENOSPC' });
});

t.test('nothing is left of it, although a file was still open', async (t) => {
  if (!requiresLoopDevices(t)) return;
  const { path, unmount } = mountLoopFs(t, 8 * MIB);
  const file = await open(join(path, 'open'), 'w');
  unmount();
  t.notOk(existsSync(path));
  await file.close();
  const { stdout } = spawnSync('losetup', ['--all'], { encoding: 'utf8' });
  t.notMatch(stdout, path.slice(0, -'/mount'.length));
});
