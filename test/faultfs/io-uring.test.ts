import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type FaultFs, mountFaultFs } from '../fixtures/fault-fs.ts';
import { requiresFuse } from '../fixtures/requires.ts';
import { uringOnce as once } from '../fixtures/uring-once.ts';

const MIB = 1 << 20;

async function mounted(t: Test): Promise<{ faults: FaultFs; path: string }> {
  const faults = await mountFaultFs(t);
  const path = join(faults.path, 'file');
  writeFileSync(path, '');
  t.equal(once('write', path, 0, 4 * MIB, 7), `${4 * MIB}`);
  t.equal(once('read', path, 0, 4 * MIB, 7), `${4 * MIB} same`);
  t.equal(once('fsync', path, 0, 0), '0');
  return { faults, path };
}

t.test('faults reach O_DIRECT operations of io_uring', async (t) => {
  if (!requiresFuse(t)) return;
  const { faults, path } = await mounted(t);
  for (const errno of ['EIO', 'ENOSPC', 'EDQUOT', 'ESTALE'] as const)
    for (const op of ['read', 'write', 'fsync', 'fdatasync'] as const) {
      await faults.failNth({ op, errno });
      t.equal(once(op, path, 0, 4096), `${-constants.errno[errno]}`, `${op} fails with ${errno}`);
    }

  await faults.short({ op: 'read', bytes: 8192 });
  t.equal(once('read', path, 0, MIB, 7), '8192 same');
  await faults.torn({ op: 'write', pages: 1 });
  t.equal(once('write', path, 0, MIB, 9), `${MIB}`);
  t.equal(once('read', path, 0, 4096, 9), '4096 same');
  t.equal(once('read', path, 4096, 4096, 7), '4096 same');
});

t.test('a short write to an O_DIRECT file is short for pwrite', async (t) => {
  if (!requiresFuse(t)) return;
  const { faults, path } = await mounted(t);
  await faults.short({ op: 'write', bytes: 4096 });
  t.equal(once('pwrite', path, 0, MIB, 8), '4096');
  t.equal(once('read', path, 0, 4096, 8), '4096 same');
  t.equal(once('read', path, 4096, 4096, 7), '4096 same');
});

t.test('the kernel makes an error of a short O_DIRECT write by io_uring', async (t) => {
  if (!requiresFuse(t)) return;
  const { faults, path } = await mounted(t);
  await faults.short({ op: 'write', bytes: 4096 });
  t.equal(once('write', path, 0, MIB, 8), `${-constants.errno.EIO}`);
  t.equal(once('read', path, 0, 4096, 8), '4096 same', 'although the prefix was written');
});

t.test('requests are 1 MiB, and one failed piece of a large read fails it', async (t) => {
  if (!requiresFuse(t)) return;
  const { faults, path } = await mounted(t);
  const { read } = await faults.counts();
  t.equal(once('read', path, 0, 4 * MIB, 7), `${4 * MIB} same`);
  t.equal((await faults.counts()).read - read, 4);
  await faults.failNth({ op: 'read', n: 1, errno: 'EIO' });
  t.equal(once('read', path, 0, 4 * MIB, 7), `${-constants.errno.EIO}`);
});
