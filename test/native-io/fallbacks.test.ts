import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { compile } from '../fixtures/compile.ts';

const { EINVAL, ELOOP, ENOSYS, EPERM, EXDEV } = constants.errno;
const IO_URING_SETUP = 425;
const OPENAT2 = 437;
const WHOLE = [100_000, 0, 100_000];
const REFUSED = [ELOOP, ELOOP, EXDEV];

const script = fileURLToPath(new URL('../fixtures/io-round-trip.mjs', import.meta.url));
const deny = compile(new URL('../fixtures/deny.cc', import.meta.url), t.testdir({}))!;

/** Runs the round trip in a process that is refused system calls for real. */
function under(root: string, rules: string[]): { report: Record<string, unknown>; results: number[] } {
  mkdirSync(join(root, 'outside'));
  const inner = join(root, 'inner');
  mkdirSync(inner);
  symlinkSync('../outside', join(inner, 'link'));
  symlinkSync('/etc/hostname', join(inner, 'linked-file'));
  const { NODE_OPTIONS: _, ...env } = process.env;
  const { stdout, stderr, status } = spawnSync(deny, [...rules, '--', process.execPath, script, inner], {
    env,
  });
  if (status !== 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString());
}

t.test('without a refusal io_uring and O_DIRECT run', async (t) => {
  const { report, results } = under(t.testdir({}), []);
  t.match(report, { engine: 'io_uring', direct: true });
  t.notOk('engineReason' in report);
  t.strictSame(results, WHOLE);
});

for (const [name, errno] of [
  ['EPERM', EPERM],
  ['ENOSYS', ENOSYS],
] as const) {
  t.test(`io_uring refused by seccomp with ${name}: threads serve, and the report says why`, async (t) => {
    const { report, results } = under(t.testdir({}), [`${IO_URING_SETUP}=${errno}`]);
    t.match(report, { engine: 'threads', engineReason: new RegExp(name), direct: true });
    t.strictSame(results, WHOLE);
  });

  t.test(`openat2 refused with ${name}: the walk refuses what openat2 would`, async (t) => {
    const run = under(t.testdir({}), [`${OPENAT2}=${errno}`]);
    t.strictSame(run.results, WHOLE);
    t.match(run, { refusals: REFUSED });
  });
}

t.test('symbolic links and parents are refused by openat2', async (t) => {
  t.match(under(t.testdir({}), []), { refusals: REFUSED });
});

t.test('O_DIRECT refused with EINVAL: buffered I/O serves with the same bytes', async (t) => {
  for (const more of [[], [`${IO_URING_SETUP}=${EPERM}`]]) {
    const rules = [`${OPENAT2}=${ENOSYS}`, `direct=${EINVAL}`, ...more];
    const { report, results } = under(t.testdir({}), rules);
    t.match(report, {
      direct: false,
      directReason: /EINVAL/,
      alignmentBytes: 4096,
      alignmentSource: 'assumed',
    });
    t.strictSame(results, WHOLE);
  }
});
