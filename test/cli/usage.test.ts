import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, errorLine, exitCodeOf, VERSION } from '@refill/cli';
import { RefillError } from '@refill/interface';
import t from 'tap';
import { runRefill } from '../fixtures/node-process.ts';

const base = mkdtempSync(join(tmpdir(), 'refill-usage-'));
t.teardown(() => rmSync(base, { recursive: true, force: true }));

t.test('the version and the help are answers, not errors', async (t) => {
  t.match(await runRefill(['--version']), { code: 0, stdout: `${VERSION}\n` });
  const help = await runRefill(['--help']);
  t.equal(help.code, 0);
  const commands = [
    'serve',
    'start',
    'put',
    'get',
    'locate',
    'explain',
    'status',
    'doctor',
    'replay',
    'rebuild',
    'bench',
  ];
  for (const command of commands) t.match(help.stdout, new RegExp(`^  ${command} `, 'm'));
  t.match(help.stdout, /3 {2}no node answers/);
  const own = await runRefill(['serve', '--help']);
  t.match(own, { code: 0, stdout: /Examples:\n {2}refill serve/ });
});

t.test('wrong usage exits with 2, one line and what was meant', async (t) => {
  const cases: [string[], RegExp][] = [
    [['serv'], /unknown command 'serv'/],
    [['status', '--jso'], /Did you mean --json/],
    [['replay', '--concurrency', '0'], /Give a whole number from 1 to 256/],
    [['replay', '--block-bytes', 'big'], /Give a size such as 64KiB/],
    [['replay', '--durability', 'eternal'], /Allowed choices are memory, shared/],
    [['replay', '--block-bytes', '1KiB', '--bytes-per-token', '2'], /cannot be used with/],
    [['replay', '--generate', 'file.json'], /--generate makes the workload up/],
    [
      ['replay', join(base, 'absent.json')],
      /ERR_INVALID_ARGUMENT: .*absent\.json: cannot be opened \(ENOENT\)/,
    ],
    [
      ['serve', '--arena', 'huge'],
      /ERR_CONFIG: arenaBytes is "huge" \(flag --arena-bytes\), which is not a size/,
    ],
    [['status', '--config', join(base, 'absent.yaml')], /ERR_CONFIG: .*absent\.yaml cannot be read/],
    [['put'], /missing required argument 'key'/],
    [['locate'], /missing required argument 'keys'/],
    [['locate', 'k', '--limit', '65'], /Give a whole number from 1 to 64/],
    [['explain'], /required option '--read <keys...>' not specified/],
    [['put', 'k', '/dev/zero', '--socket', join(base, 's')], /\/dev\/zero has more\. Split what is longer/],
    [['put', 'k', '--socket', join(base, 's')], /a block is 1 to 268435456 bytes, standard input has none/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr, stdout } = await runRefill(args);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, message);
    t.notMatch(stderr, /\n\s+at /, 'no stack');
    t.equal(stdout, '');
  }
});

t.test('where no node answers the code is 3 and the fix is named', async (t) => {
  const socket = join(base, 'none.sock');
  for (const args of [
    ['status', '--json'],
    ['get', 'k'],
    ['replay', '--generate'],
  ]) {
    const { code, stderr } = await runRefill([...args, '--socket', socket]);
    t.equal(code, 3, args.join(' '));
    t.match(stderr, /no node answers at .*none\.sock\. Start one: refill serve/);
  }
  const rootless = await runRefill(['status', '--root', join(base, 'absent')]);
  t.match(rootless, { code: 3, stderr: /has no refill\.json/ });
});

t.test('stacks are printed with --debug only', async (t) => {
  const { code, stderr } = await runRefill(['status', '--socket', join(base, 'none.sock'), '--debug']);
  t.equal(code, 3);
  t.match(stderr, /\n\s+at /);
});

t.test('a directory that is no root is named when a node shall serve it', async (t) => {
  const { code, stderr } = await runRefill(['serve', '--root', tmpdir(), '--state', join(base, 'state')]);
  t.equal(code, 1);
  t.match(stderr, /ERR_NOT_A_ROOT: .* is not empty/);
});

t.test('a root of a newer format is refused, and nothing in it is changed', async (t) => {
  const root = mkdtempSync(join(base, 'newer-'));
  writeFileSync(join(root, 'refill.json'), '{"format":2,"clusterId":"0123456789abcdef"}');
  for (const command of ['serve', 'rebuild', 'status']) {
    const { code, stderr } = await runRefill([command, '--root', root]);
    t.equal(code, 1, command);
    t.match(
      stderr,
      /ERR_ROOT_TOO_NEW: .* has format 2, this version knows up to 1\. Install a newer version/,
    );
  }
  t.same(readdirSync(root), ['refill.json']);
});

t.test('errors are one line with their code once', async (t) => {
  const error = new RefillError('ERR_CONFIG', 'root is bad', { fix: 'Give\n  --root' });
  t.equal(errorLine(error, false), 'refill: ERR_CONFIG: root is bad. Give --root');
  t.equal(exitCodeOf(error), EXIT.usage);
  t.equal(exitCodeOf(new RefillError('ERR_NODE_CLOSED', 'x')), EXIT.unreachable);
  t.equal(exitCodeOf(new RefillError('ERR_ROOT_READ_ONLY', 'x')), EXIT.failure);
  t.equal(exitCodeOf('x'), EXIT.failure);
  t.equal(errorLine('x', false), 'refill: x');
});
