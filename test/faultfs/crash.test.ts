import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type FaultFs, mountFaultFs } from '../fixtures/fault-fs.ts';
import { requiresFuse } from '../fixtures/requires.ts';

const PAGE = 4096;
const KEEP = { keep: 1, drop: 0, tear: 0 };
const DROP = { keep: 0, drop: 1, tear: 0 };
const TEAR = { keep: 0, drop: 0, tear: 1 };
const MIXED = { keep: 1, drop: 1, tear: 1 };

async function syncDir(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync();
  await directory.close();
}

/** A file of 64 durable pages of 1, in which the same pages of 2 were then written without a sync. */
async function halfWritten(t: Test, faults: FaultFs): Promise<FileHandle> {
  const file = await open(join(faults.path, 'file'), 'w+');
  t.teardown(() => file.close().catch(() => {}));
  await file.write(Buffer.alloc(64 * PAGE, 1));
  await faults.volatile();
  await file.write(Buffer.alloc(64 * PAGE, 2), 0, 64 * PAGE, 0);
  return file;
}

const read = (faults: FaultFs, name = 'file'): Promise<Buffer> => readFile(join(faults.path, name));

t.test('before a crash every write is seen, after it the unsynced ones are gone', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await halfWritten(t, faults);
  t.ok((await read(faults)).every((byte) => byte === 2));
  t.match(await faults.crash(1, DROP), { pagesDropped: 64, pagesKept: 0, pagesTorn: 0 });
  t.ok((await read(faults)).every((byte) => byte === 1));
});

t.test('a crash may keep everything', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await halfWritten(t, faults);
  t.match(await faults.crash(1, KEEP), { pagesDropped: 0, pagesKept: 64, pagesTorn: 0 });
  t.ok((await read(faults)).every((byte) => byte === 2));
});

t.test('a torn page is made of whole sectors, old and new', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await halfWritten(t, faults);
  t.match(await faults.crash(1, TEAR), { pagesTorn: 64 });
  const bytes = await read(faults);
  const seen = new Set<number>();
  for (let at = 0; at < bytes.length; at += 512) {
    seen.add(bytes[at]!);
    t.ok(bytes.subarray(at, at + 512).every((byte) => byte === bytes[at]));
  }
  t.same(seen, new Set([1, 2]));
});

t.test('a seed always means the same crash', async (t) => {
  if (!requiresFuse(t)) return;
  const outcomes: Buffer[] = [];
  for (const seed of [7, 7, 8]) {
    const faults = await mountFaultFs(t);
    await halfWritten(t, faults);
    const { pagesKept, pagesDropped, pagesTorn } = await faults.crash(seed, MIXED);
    t.ok(pagesKept > 0 && pagesDropped > 0 && pagesTorn > 0, 'with all three fates');
    outcomes.push(await read(faults));
  }
  t.ok(outcomes[0]!.equals(outcomes[1]!));
  t.notOk(outcomes[0]!.equals(outcomes[2]!));
});

for (const sync of ['sync', 'datasync'] as const)
  t.test(`what ${sync} made durable survives every crash`, async (t) => {
    if (!requiresFuse(t)) return;
    const faults = await mountFaultFs(t);
    const file = await halfWritten(t, faults);
    await file[sync]();
    await file.write(Buffer.alloc(PAGE, 3), 0, PAGE, 0);
    await faults.crash(3, DROP);
    t.ok((await read(faults)).every((byte) => byte === 2));
  });

t.test('a lying fsync makes nothing durable', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const file = await halfWritten(t, faults);
  await faults.lie({ op: ['fsync', 'fdatasync'], count: 0 });
  await file.sync();
  await file.datasync();
  await faults.crash(3, DROP);
  t.ok((await read(faults)).every((byte) => byte === 1));
});

t.test('pages of a failed fsync are not saved by a later one, only by being written again', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const file = await halfWritten(t, faults);
  await faults.failNth({ op: 'fsync', errno: 'EIO' });
  await t.rejects(file.sync(), { code: 'EIO' });
  await file.write(Buffer.alloc(PAGE, 2), 0, PAGE, PAGE);
  await file.sync();
  await faults.crash(3, DROP);
  const bytes = await read(faults);
  t.ok(bytes.every((byte, at) => byte === (at >= PAGE && at < 2 * PAGE ? 2 : 1)));
});

t.test('sizes go back too, when growing and when shrinking', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const file = await halfWritten(t, faults);
  await file.write(Buffer.alloc(100, 4), 0, 100, 70 * PAGE);
  t.equal((await stat(join(faults.path, 'file'))).size, 70 * PAGE + 100);
  await faults.crash(3, DROP);
  t.equal((await stat(join(faults.path, 'file'))).size, 64 * PAGE);

  const again = await open(join(faults.path, 'file'), 'r+');
  await again.truncate(10);
  await again.close();
  t.equal((await read(faults)).length, 10);
  await faults.crash(4, DROP);
  const bytes = await read(faults);
  t.equal(bytes.length, 64 * PAGE);
  t.ok(bytes.every((byte) => byte === 1));
});

t.test('files that were open at a crash are dead', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const file = await halfWritten(t, faults);
  await faults.crash(3, MIXED);
  await t.rejects(file.write('x'), { code: 'EIO' });
  await t.rejects(file.read(Buffer.alloc(10), 0, 10, 0), { code: 'EIO' });
  await t.rejects(file.sync(), { code: 'EIO' });
  await t.resolves(writeFile(join(faults.path, 'file'), 'new'));
});

t.test('creates, renames and removals are undone unless the directory was synced', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  const at = (name: string): string => join(faults.path, name);
  for (const name of ['kept', 'moved', 'replaced', 'removed']) await writeFile(at(name), name);
  await mkdir(at('sub'));
  await faults.volatile();
  const changes = async (): Promise<void> => {
    await writeFile(at('created'), 'created');
    await rename(at('moved'), at('sub/moved'));
    await rename(at('created'), at('replaced'));
    await unlink(at('removed'));
    await mkdir(at('sub/new'));
    await writeFile(at('sub/new/inside'), 'inside');
  };
  const look = async (): Promise<string[]> => (await readdir(faults.path, { recursive: true })).sort();
  const before = await look();

  await changes();
  const after = await look();
  t.match(await faults.crash(5, DROP), { names: 6, namesUndone: 6 });
  t.same(await look(), before);
  for (const name of ['kept', 'moved', 'replaced', 'removed'])
    t.equal(await readFile(at(name), 'utf8'), name);

  await changes();
  await syncDir(at('sub/new'));
  t.match(await faults.crash(6, DROP), { names: 0, namesUndone: 0 }, 'a journal settles what came before');
  t.same(await look(), after);
});

t.test('names survive a crash up to some change and not after it', async (t) => {
  if (!requiresFuse(t)) return;
  const counts = new Set<number>();
  const faults = await mountFaultFs(t);
  await faults.volatile();
  for (let seed = 0; seed < 8; seed++) {
    for (let i = 0; i < 10; i++) await writeFile(join(faults.path, `${i}`), '');
    await faults.crash(seed, MIXED);
    const names = await readdir(faults.path);
    t.same(
      names.sort(),
      Array.from(names, (_, i) => `${i}`),
    );
    counts.add(names.length);
    for (const name of names) await unlink(join(faults.path, name));
    await syncDir(faults.path);
  }
  t.ok(counts.size > 2);
});

t.test('what was undone leaves nothing behind, and leaving volatile mode keeps all', async (t) => {
  if (!requiresFuse(t)) return;
  const faults = await mountFaultFs(t);
  await halfWritten(t, faults);
  await unlink(join(faults.path, 'file'));
  await writeFile(join(faults.path, 'file'), 'second');
  await faults.volatile(false);
  t.equal((await read(faults)).toString(), 'second');
  t.same(await readdir(join(faults.backing, '../undo')), []);
  await t.rejects(faults.crash(1, DROP), /crash/);
});
