import { constants, type PathLike } from 'node:fs';
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readFile,
  rename,
  rmdir,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import t from 'tap';
import { type FaultFs, type FaultOp, mountFaultFs } from '../fixtures/fault-fs.ts';
import { requiresFuse } from '../fixtures/requires.ts';

async function using<T>(
  path: PathLike,
  flags: string | number,
  work: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

// Node knows no names for ESTALE and EDQUOT: their `code` is "Unknown system error -116".
const codeOf = (name: keyof typeof osConstants.errno): string => getSystemErrorName(-osConstants.errno[name]);

/** One call for each operation that can fail; each works when nothing fails. */
const calls: Record<Exclude<FaultOp, 'fallocate'>, (path: string) => Promise<unknown>> = {
  open: (path) => using(path, 'r', async () => {}),
  opendirect: (path) => using(path, constants.O_RDONLY | constants.O_DIRECT, async () => {}),
  create: (path) => using(`${path}.new`, 'wx', async () => {}),
  read: (path) => using(path, 'r', (file) => file.read(Buffer.alloc(4096), 0, 4096, 0)),
  write: (path) => using(path, 'r+', (file) => file.write(Buffer.alloc(4096), 0, 4096, 0)),
  fsync: (path) => using(path, 'r+', (file) => file.sync()),
  fdatasync: (path) => using(path, 'r+', (file) => file.datasync()),
  fsyncdir: (path) => using(join(path, '..'), 'r', (file) => file.sync()),
  truncate: (path) => truncate(path, 100),
  rename: (path) => rename(path, `${path}.other`),
  unlink: (path) => unlink(path),
  mkdir: (path) => mkdir(`${path}.dir`),
  rmdir: async (path) => {
    await mkdir(`${path}.d`);
    await rmdir(`${path}.d`);
  },
  link: (path) => link(path, `${path}.link`),
};

async function fresh(faults: FaultFs): Promise<string> {
  const path = join(faults.path, 'file');
  await writeFile(path, 'x'.repeat(4096));
  return path;
}

t.test('each operation fails once with the errno asked for, and works before and after', async (t) => {
  if (!requiresFuse(t)) return;
  for (const [op, call] of Object.entries(calls) as [FaultOp, (path: string) => Promise<unknown>][]) {
    for (const errno of ['EIO', 'ENOSPC', 'EDQUOT', 'ESTALE'] as const) {
      const faults = await mountFaultFs(t);
      const path = await fresh(faults);
      // After ESTALE the kernel looks the name up again and tries once more, so that a single one is not seen.
      await faults.failNth({ op, errno, count: errno === 'ESTALE' ? 0 : 1 });
      await t.rejects(call(path), { code: codeOf(errno) }, `${op} fails with ${errno}`);
      await faults.clear();
      if (op === 'rmdir') await rmdir(`${path}.d`);
      await t.resolves(call(path), `${op} works again`);
      await faults.unmount();
    }
  }
});

t.test('the n-th matching operation fails, counted from the moment of asking', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await using(join(faults.path, 'a'), 'w', async (file) => {
    await file.write('before');
    await faults.failNth({ op: 'write', n: 3, count: 2, errno: 'ENOSPC' });
    const outcomes: string[] = [];
    for (let i = 0; i < 6; i++)
      await file.write('x').then(
        () => outcomes.push('written'),
        (error) => outcomes.push(error.code),
      );
    t.same(outcomes, ['written', 'written', 'ENOSPC', 'ENOSPC', 'written', 'written']);
  });
});

t.test('a fault can be limited to files by name', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await faults.failNth({ op: 'any', path: 'segment', count: 0, errno: 'EDQUOT' });
  await t.resolves(writeFile(join(faults.path, 'other'), 'x'));
  await t.rejects(writeFile(join(faults.path, 'segment-1'), 'x'), { code: codeOf('EDQUOT') });
});

t.test('an operation can be carried out and still answer an error', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const path = await fresh(faults);
  await faults.failNth({ op: 'rename', errno: 'EIO', after: true });
  await t.rejects(rename(path, `${path}.other`), { code: 'EIO' });
  t.equal((await readFile(`${path}.other`)).length, 4096);
});

t.test('refusing O_DIRECT leaves buffered files alone', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const path = await fresh(faults);
  await faults.failNth({ op: 'opendirect', count: 0, errno: 'EINVAL' });
  await t.rejects(open(path, constants.O_RDONLY | constants.O_DIRECT), { code: 'EINVAL' });
  await t.resolves(readFile(path));
});

t.test('failing the n-th operation for every n ends with a run without a failure', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const store = async (path: string): Promise<void> => {
    await using(`${path}.tmp`, 'w', async (file) => {
      await file.write('content');
      await file.sync();
    });
    await rename(`${path}.tmp`, path);
  };
  let failures = 0;
  for (let n = 1; ; n++) {
    await faults.clear();
    await faults.failNth({ op: 'any', n, errno: 'EIO' });
    const failed = await store(join(faults.path, `${n}`)).then(
      () => false,
      () => true,
    );
    if (!failed) break;
    failures++;
    await t.rejects(
      readFile(join(faults.path, `${n}`)),
      { code: 'ENOENT' },
      `nothing is visible after failure ${n}`,
    );
  }
  t.equal(failures, 4, 'create, write, fsync and rename failed in turn');
});

t.test('operations are counted by kind', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await faults.resetCounts();
  const path = await fresh(faults);
  await unlink(path);
  t.match(await faults.counts(), { create: 1, write: 1, unlink: 1, read: 0, fsync: 0 });
});
