import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRoot, readRoot, systemChance, systemClock } from '@refill/cli';
import t from 'tap';

const services = { clock: systemClock, chance: systemChance };

t.test(
  'a directory that cannot be made although its parent is there is refused, not tried for ever',
  async (t) => {
    await t.rejects(openRoot('/proc/refill/root', services), {
      code: 'ERR_NOT_A_ROOT',
      message: /cannot be made \(ENOENT\)/,
    } as never);
  },
);

t.test('an absent or empty directory becomes a root, once', async (t) => {
  const path = join(t.testdir(), 'a', 'b');
  const made = await openRoot(path, services);
  t.match(made.clusterId, /^[0-9a-f]{16}$/);
  t.same(await openRoot(path, services), made);
  t.same(await readRoot(path), made);
  t.same(readdirSync(path), ['refill.json'], 'nothing else is left behind');
  t.match(JSON.parse(readFileSync(join(path, 'refill.json'), 'utf8')), {
    format: 1,
    clusterId: made.clusterId,
  });
});

t.test('what file systems put into a fresh directory does not matter', async (t) => {
  const path = t.testdir({ 'lost+found': {}, '.snapshots': {} });
  t.ok(await openRoot(path, services));
});

t.test('many nodes that make one root at a time agree on it', async (t) => {
  const path = join(t.testdir(), 'root');
  const roots = await Promise.all(Array.from({ length: 16 }, () => openRoot(path, services)));
  t.equal(new Set(roots.map(({ clusterId }) => clusterId)).size, 1);
  t.same(readdirSync(path), ['refill.json']);
});

t.test('a directory with other content is no root', async (t) => {
  const path = t.testdir({ 'thesis.doc': 'x' });
  await t.rejects(openRoot(path, services), {
    code: 'ERR_NOT_A_ROOT',
    message: /is not empty \(thesis\.doc\)\. Give --root/,
  });
  t.same(readdirSync(path), ['thesis.doc']);
  t.equal(await readRoot(path), undefined);
});

t.test('a file is no root', async (t) => {
  const path = join(t.testdir({ file: 'x' }), 'file');
  await t.rejects(openRoot(path, services), { code: 'ERR_NOT_A_ROOT', message: /is no directory/ });
  await t.rejects(openRoot(join(path, 'below'), services), { code: 'ERR_NOT_A_ROOT' });
});

t.test('a damaged or foreign marker is no root', async (t) => {
  for (const marker of [
    '',
    '{',
    '[]',
    'null',
    '{}',
    '{"format":0,"clusterId":"0123456789abcdef"}',
    '{"format":1,"clusterId":"../../x"}',
  ]) {
    await t.rejects(
      openRoot(t.testdir({ 'refill.json': marker }), services),
      { code: 'ERR_NOT_A_ROOT' },
      marker,
    );
  }
});

t.test('a root of a newer format is refused', async (t) => {
  const path = t.testdir({ 'refill.json': '{"format":2,"clusterId":"0123456789abcdef"}' });
  await t.rejects(openRoot(path, services), {
    code: 'ERR_ROOT_TOO_NEW',
    message: /has format 2, this version knows up to 1/,
  });
});

t.test('a root that cannot be written is refused', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'refill-root-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  // Root may write anywhere, so it plays nobody for a moment.
  const asNobody = async (work: () => Promise<unknown>): Promise<unknown> => {
    if (process.getuid?.() !== 0) return work();
    process.seteuid?.(65534);
    try {
      await work();
    } finally {
      process.seteuid?.(0);
    }
  };
  writeFileSync(join(dir, 'refill.json'), '{"format":1,"clusterId":"0123456789abcdef"}');
  chmodSync(dir, 0o555);
  await asNobody(() => t.rejects(openRoot(dir, services), { code: 'ERR_ROOT_READ_ONLY', message: /EACCES/ }));
  rmSync(join(dir, 'refill.json'), { force: true });
  await asNobody(() => t.rejects(openRoot(dir, services), { code: 'ERR_ROOT_READ_ONLY' }));
  await asNobody(() => t.rejects(openRoot(join(dir, 'new'), services), { code: 'ERR_ROOT_READ_ONLY' }));
  chmodSync(dir, 0o755);
});
