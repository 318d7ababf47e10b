import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { compile } from '../fixtures/compile.ts';
import { requiresRoot } from '../fixtures/requires.ts';

const { EINVAL, ENOMEM, EPERM } = constants.errno;
const WHOLE = [100_000, 0, 100_000];
// Of <linux/io_uring.h>.
const SINGLE_ISSUER_OR_DEFER = 0x3000;
const COOP = 0x100;
const CQSIZE = 0x8;
const [FILES_UPDATE, PROBE, FILES2, BUFFERS2, BUFFERS_UPDATE] = [6, 8, 13, 15, 16];
const [POPULATE_WRITE, COLLAPSE] = [23, 25];

const script = fileURLToPath(new URL('../fixtures/io-round-trip.mjs', import.meta.url));
const flags = ['-shared', '-fPIC', '-ldl'];
const folder = t.testdir({ program: {}, all: {} });
const oldKernel = compile(
  new URL('../fixtures/old-kernel.cc', import.meta.url),
  join(folder, 'program'),
  flags,
)!;

interface Run {
  report: Record<string, unknown> & { kernelFlags: string[] };
  results: number[];
}

function roundTrip(root: string, command: string[], more: Record<string, string>): Run {
  const inner = join(root, 'inner');
  mkdirSync(join(root, 'outside'));
  mkdirSync(inner);
  symlinkSync('../outside', join(inner, 'link'));
  symlinkSync('/etc/hostname', join(inner, 'linked-file'));
  const { NODE_OPTIONS: _, ...env } = process.env;
  const [program, ...args] = [...command, process.execPath, script, inner];
  const { stdout, stderr, status } = spawnSync(program!, args, { env: { ...env, ...more } });
  if (status !== 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString());
}

const on = (root: string, refused: Record<string, string>): Run =>
  roundTrip(root, [], { LD_PRELOAD: oldKernel, ...refused });
/** What a kernel that refuses nothing grants. */
const all = on(join(folder, 'all'), {}).report;
const without = (...names: string[]): string[] => all.kernelFlags.filter((flag) => !names.includes(flag));

t.test('deferred task work refused (before 6.1): cooperative or plain rings serve', async (t) => {
  const cooperative = on(t.testdir({}), { REFUSE_SETUP: String(SINGLE_ISSUER_OR_DEFER) });
  t.match(cooperative.report, { engine: 'io_uring' });
  t.strictSame(cooperative.results, WHOLE);
  t.notOk(
    cooperative.report.kernelFlags.some((flag) => flag === 'single_issuer' || flag === 'defer_taskrun'),
  );
  t.ok(cooperative.report.kernelFlags.includes('coop_taskrun'));
  const plain = on(t.testdir({}), { REFUSE_SETUP: String(SINGLE_ISSUER_OR_DEFER | COOP) });
  t.match(plain.report, { engine: 'io_uring' });
  t.strictSame(plain.results, WHOLE);
  t.strictSame(plain.report.kernelFlags, without('single_issuer', 'defer_taskrun'));
});

t.test('rings refused whatever their flags: threads serve, and the report says why', async (t) => {
  const { report, results } = on(t.testdir({}), { REFUSE_SETUP: String(CQSIZE) });
  t.match(report, { engine: 'threads', engineReason: /EINVAL/, kernelFlags: [] });
  t.strictSame(results, WHOLE);
});

for (const [name, opcodes, flag] of [
  ['a table of files', [FILES2], 'fixed_files'],
  ['a table of buffers', [BUFFERS2], 'fixed_buffers'],
  ['the list of operations', [PROBE], 'vectored_fixed'],
  ['every entry of the tables', [FILES_UPDATE, BUFFERS_UPDATE], ''],
] as const) {
  for (const errno of [EPERM, ENOMEM, EINVAL]) {
    t.test(`${name} refused with errno ${errno}: the ring serves without`, async (t) => {
      const { report, results } = on(t.testdir({}), { REFUSE_REGISTER: `${opcodes.join()}:${errno}` });
      t.match(report, { engine: 'io_uring', direct: all.direct });
      t.strictSame(report.kernelFlags, without(flag));
      t.strictSame(results, WHOLE);
    });
  }
}

t.test('a statx that does not know DIOALIGN (before 6.1): the alignment is found by trying', async (t) => {
  const { report, results } = on(t.testdir({}), { REFUSE_DIOALIGN: '1' });
  t.match(report, { direct: all.direct, alignmentSource: all.direct ? 'probe' : 'assumed' });
  t.strictSame(results, WHOLE);
});

t.test(
  'madvise without COLLAPSE (before 6.1) or POPULATE_WRITE (before 5.14): the arena serves',
  async (t) => {
    const collapse = on(t.testdir({}), { REFUSE_MADVISE: String(COLLAPSE) });
    t.not(collapse.report.arenaPagesBy, 'collapse');
    t.strictSame(collapse.results, WHOLE);
    const populate = on(t.testdir({}), { REFUSE_MADVISE: String(POPULATE_WRITE) });
    t.strictSame(populate.results, WHOLE);
  },
);

t.test('RLIMIT_MEMLOCK too low: no ring or no registered buffers, and the right bytes', async (t) => {
  if (!requiresRoot(t)) return;
  // Root without CAP_IPC_LOCK, for which the limit does not count.
  const limited = (kib: number): Run =>
    roundTrip(
      t.testdir({}),
      [
        'prlimit',
        `--memlock=${kib * 1024}:${kib * 1024}`,
        ...['setpriv', '--bounding-set', '-ipc_lock', '--inh-caps', '-ipc_lock'],
      ],
      {},
    );
  for (const kib of [0, 64, 2048]) {
    const { report, results } = limited(kib);
    t.strictSame(results, WHOLE, `${kib} KiB: ${report.engine}`);
    if (report.engine === 'threads') t.match(report, { engineReason: /ENOMEM .*RLIMIT_MEMLOCK/ });
  }
});
