import { constants } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { mountFaultFs } from '../fixtures/fault-fs.ts';
import { requiresFuse } from '../fixtures/requires.ts';

const PAGE = 4096;
const DIRECT = constants.O_DIRECT;

/** Which 4 KiB pages of a file hold anything but zeros. */
function pagesWritten(bytes: Buffer): number[] {
  const pages: number[] = [];
  for (let page = 0; page * PAGE < bytes.length; page++)
    if (bytes.subarray(page * PAGE, (page + 1) * PAGE).some((byte) => byte !== 0)) pages.push(page);
  return pages;
}

for (const [kind, flag] of [
  ['buffered', 0],
  ['O_DIRECT', DIRECT],
] as const) {
  t.test(`a short read of a ${kind} file gives what it says and no more`, async (t) => {
    if (!requiresFuse(t)) return;
    const faults = await mountFaultFs(t);
    await writeFile(join(faults.path, 'file'), Buffer.alloc(4 * PAGE, 1));
    const file = await open(join(faults.path, 'file'), constants.O_RDONLY | flag);
    t.teardown(() => file.close());
    await faults.short({ op: 'read', n: 2, bytes: 512 });
    const target = Buffer.alloc(4 * PAGE);
    t.equal((await file.read(target, 0, 4 * PAGE, 0)).bytesRead, 4 * PAGE);
    t.ok(target.every((byte) => byte === 1));
    t.equal((await file.read(target, 0, 4 * PAGE, 0)).bytesRead, 512);
  });

  t.test(`node:fs goes on by itself after a short write to a ${kind} file`, async (t) => {
    if (!requiresFuse(t)) return;
    const faults = await mountFaultFs(t);
    const path = join(faults.path, 'file');
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | flag);
    t.teardown(() => file.close());
    await faults.short({ op: 'write', bytes: PAGE });
    await file.write(Buffer.alloc(4 * PAGE, 1), 0, 4 * PAGE, 0);
    t.equal((await faults.counts()).write, 2);
    t.equal((await readFile(path)).filter((byte) => byte === 1).length, 4 * PAGE);
  });

  t.test(`a torn write to a ${kind} file leaves a prefix or a seeded subset of its pages`, async (t) => {
    if (!requiresFuse(t)) return;
    const faults = await mountFaultFs(t);
    const write = async (name: string): Promise<number[]> => {
      const file = await open(join(faults.path, name), constants.O_RDWR | constants.O_CREAT | flag);
      await file.truncate(16 * PAGE);
      t.equal((await file.write(Buffer.alloc(16 * PAGE, 1), 0, 16 * PAGE, 0)).bytesWritten, 16 * PAGE);
      await file.close();
      return pagesWritten(await readFile(join(faults.backing, name)));
    };
    await faults.torn({ op: 'write', pages: 3 });
    t.same(await write('prefix'), [0, 1, 2]);
    await faults.torn({ op: 'write', seed: 5 });
    const subset = await write('subset');
    t.ok(subset.length > 0 && subset.length < 16, `pages ${subset.join(' ')}`);
    await faults.torn({ op: 'write', seed: 5 });
    t.same(await write('again'), subset, 'the same seed tears alike');
    await faults.torn({ op: 'write', seed: 6 });
    t.notSame(await write('other'), subset, 'another seed tears otherwise');
  });
}

t.test('a torn write can answer an error too', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await faults.torn({ op: 'write', pages: 1, errno: 'EIO' });
  await t.rejects(writeFile(join(faults.path, 'file'), Buffer.alloc(2 * PAGE, 1)), { code: 'EIO' });
  t.same(pagesWritten(await readFile(join(faults.backing, 'file'))), [0]);
});

t.test('an O_DIRECT access that is not aligned is refused', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const file = await open(join(faults.path, 'file'), constants.O_RDWR | constants.O_CREAT | DIRECT);
  t.teardown(() => file.close());
  await t.rejects(file.write(Buffer.alloc(100), 0, 100, 0), { code: 'EINVAL' });
  await t.rejects(file.read(Buffer.alloc(PAGE), 0, PAGE, 7), { code: 'EINVAL' });
});

t.test('a delayed operation waits until the delays are cleared, while others go on', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await writeFile(join(faults.path, 'slow'), 'x');
  await writeFile(join(faults.path, 'fast'), 'y');
  await faults.delay({ op: 'read', path: 'slow', ms: 600_000 });
  let done = false;
  const slow = readFile(join(faults.path, 'slow'), 'utf8').finally(() => {
    done = true;
  });
  t.equal(await readFile(join(faults.path, 'fast'), 'utf8'), 'y');
  await sleep(100);
  t.notOk(done);
  await faults.clear();
  t.equal(await slow, 'x');
});

t.test('a delay ends by itself', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  for (const op of ['write', 'fsync'] as const) {
    await faults.delay({ op, ms: 300 });
    const file = await open(join(faults.path, op), 'w');
    const start = process.hrtime.bigint();
    await file.write('x');
    await file.sync();
    t.ok(process.hrtime.bigint() - start >= 300_000_000n, `${op} took at least the delay`);
    await file.close();
  }
});

t.test('a hung mount answers when it is resumed', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await writeFile(join(faults.path, 'file'), 'x');
  await faults.hang();
  let done = false;
  const read = readFile(join(faults.path, 'file'), 'utf8').finally(() => {
    done = true;
  });
  await sleep(100);
  t.notOk(done);
  faults.resume();
  t.equal(await read, 'x');
});

t.test('an operation that is still delayed ends with an error when the mount goes away', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await writeFile(join(faults.path, 'file'), 'x');
  await faults.delay({ op: 'read', ms: 600_000 });
  const read = t.rejects(readFile(join(faults.path, 'file')));
  await sleep(100);
  await faults.unmount();
  await read;
});

t.test('the write log tells which bytes were written twice', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await faults.logWrites();
  const file = await open(join(faults.path, 'segment'), 'w');
  t.teardown(() => file.close());
  await file.write(Buffer.alloc(PAGE), 0, PAGE, 2 * PAGE);
  await file.write(Buffer.alloc(2 * PAGE), 0, 2 * PAGE, 0);
  t.match(await faults.overlaps(), { writes: 2, bytes: 0, file: '' }, 'neighbours do not overlap');
  await writeFile(join(faults.path, 'other'), 'x');
  t.match(await faults.overlaps(), { writes: 3, bytes: 0 }, 'nor does the same offset of another file');
  await file.write(Buffer.alloc(PAGE), 0, PAGE, PAGE + 100);
  t.same(await faults.overlaps(), { writes: 4, bytes: PAGE, file: 'segment', offset: PAGE + 100 });
});
