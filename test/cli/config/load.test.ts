import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { FIELD_NAMES, flagOf, loadConfig, variableOf } from '@refill/cli';
import { startNode } from '@refill/cli/node';
import t from 'tap';

function load(dir: string, flags: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = {}, file?: string) {
  return loadConfig({ flags, env: { HOME: dir, ...env }, cwd: dir, file });
}

t.test('without any word every field has its default', async (t) => {
  const dir = t.testdir();
  const { config, sources } = load(dir);
  t.equal(config.root, join(dir, 'refill-data'));
  t.equal(config.node, hostname());
  t.equal(config.engine, 'auto');
  t.equal(config.segmentBytes, 2 ** 30);
  t.equal(config.state, undefined, 'it depends on the root');
  t.ok(config.arenaBytes >= 256 * 2 ** 20 && config.arenaBytes <= 16 * 2 ** 30);
  t.same(new Set(Object.values(sources)), new Set(['default']));
});

t.test('flags win over the environment, the environment over the file, the file over defaults', async (t) => {
  const dir = t.testdir({ 'refill.yaml': 'readLanes: 3\nwriteLanes: 3\narenaBytes: 3GiB\n' });
  const env = { REFILL_READ_LANES: '4', REFILL_WRITE_LANES: '4' };
  const { config, sources } = load(dir, { readLanes: '5' }, env);
  t.match(config, { readLanes: 5, writeLanes: 4, arenaBytes: 3 * 2 ** 30, drainMs: 30_000 });
  t.equal(sources.readLanes, 'flag --read-lanes');
  t.equal(sources.writeLanes, 'environment REFILL_WRITE_LANES');
  t.equal(sources.arenaBytes, `file ${join(dir, 'refill.yaml')}`);
  t.equal(sources.drainMs, 'default');
});

t.test('the file is the one named, else of the working directory, else of the user', async (t) => {
  const dir = t.testdir({ named: 'node: a', work: {}, '.config': { refill: { 'refill.yaml': 'node: c' } } });
  const work = join(dir, 'work');
  const env = { HOME: dir };
  t.equal(loadConfig({ env, cwd: work }).config.node, 'c');
  writeFileSync(join(work, 'refill.yaml'), 'node: b');
  t.equal(loadConfig({ env, cwd: work }).config.node, 'b');
  t.equal(loadConfig({ env, cwd: work, file: '../named' }).config.node, 'a');
  t.equal(loadConfig({ env: { ...env, REFILL_CONFIG: join(dir, 'named') }, cwd: work }).config.node, 'a');
  const xdg = join(dir, 'xdg');
  mkdirSync(join(xdg, 'refill'), { recursive: true });
  writeFileSync(join(xdg, 'refill', 'refill.yaml'), 'node: d');
  t.equal(loadConfig({ env: { ...env, XDG_CONFIG_HOME: xdg }, cwd: dir }).config.node, 'd');
});

t.test('paths in a file are relative to the file, others to the working directory', async (t) => {
  const dir = t.testdir({ etc: { 'refill.yaml': 'root: ../data\n' } });
  t.equal(load(dir, {}, {}, 'etc/refill.yaml').config.root, join(dir, 'data'));
  t.equal(load(dir, { root: 'data' }).config.root, join(dir, 'data'));
  t.equal(load(dir, {}, { REFILL_ROOT: '/abs' }).config.root, '/abs');
});

t.test('on and off may be booleans of YAML', async (t) => {
  t.equal(load(t.testdir({ 'refill.yaml': 'direct: off' })).config.direct, 'off');
  t.equal(load(t.testdir({ 'refill.yaml': 'direct: true' })).config.direct, 'on');
});

t.test('a bad value is named with its field, its source and the fix', async (t) => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [
      { arenaBytes: 'lots' },
      /arenaBytes is "lots" \(flag --arena-bytes\), which is not a size\. Give a size/,
    ],
    [{ arenaBytes: '1MiB' }, /which is below the least, 64MiB/],
    [{ arenaBytes: '67108865' }, /which is not a multiple of 2MiB/],
    [{ segmentBytes: '1TiB' }, /which is above the most, 64GiB/],
    [{ node: '../x' }, /node is "\.\.\/x" \(flag --node\), which does not match/],
    [{ node: '' }, /node is ""/],
    [{ readLanes: '0' }, /readLanes is "0".* is below the least, 1/],
    [{ readLanes: 'x' }, /which is not a whole number/],
    [{ engine: 'fast' }, /which is none of auto, io_uring, threads/],
    [{ direct: 'maybe' }, /which is none of auto, on, off/],
    [{ root: '' }, /root is "".*which is empty/],
    [{ root: 'a\0b' }, /has a zero byte/],
    [{ logLevel: 'loud' }, /logLevel is "loud"/],
  ];
  for (const [flags, message] of cases) {
    t.throws(() => load(t.testdirName, flags), { code: 'ERR_CONFIG', message }, JSON.stringify(flags));
  }
  t.throws(() => load(t.testdirName, {}, { REFILL_DRAIN_MS: '-1' }), {
    message: /\(environment REFILL_DRAIN_MS\)/,
  });
  t.throws(() => load(t.testdir({ 'refill.yaml': 'root: [1]' })), {
    message: /root is \[1\] \(file .*refill.yaml\)/,
  });
  t.throws(() => load(t.testdir({ 'refill.yaml': 'node: 7' })), {
    message: /node is 7 .*which is not a name/,
  });
});

t.test('an unknown field of a file is refused with what was probably meant', async (t) => {
  const refuse = (text: string, message: RegExp): void => {
    t.throws(() => load(t.testdir({ 'refill.yaml': text })), { code: 'ERR_CONFIG', message });
  };
  refuse(
    'arena_bytes: 1GiB',
    /arena_bytes \(file .*\) is no field of the configuration\. Did you mean arenaBytes\?/,
  );
  refuse('segmentByte: 1GiB', /Did you mean segmentBytes\?/);
  refuse('zzzzzzzzz: 1', /Fields are root, state/);
});

t.test('variables of the environment that are no field are left alone', async (t) => {
  t.ok(load(t.testdir(), {}, { REFILL_SERVICE_HOST: '10.0.0.1', REFILL_NODE: '' }));
});

t.test('a file that is missing, no YAML or no mapping is refused', async (t) => {
  t.throws(() => load(t.testdir(), {}, {}, 'absent.yaml'), {
    code: 'ERR_CONFIG',
    message: /absent\.yaml cannot be read/,
  });
  t.throws(() => load(t.testdir({ 'refill.yaml': 'a: [' })), { code: 'ERR_CONFIG', message: /YAML mapping/ });
  t.throws(() => load(t.testdir({ 'refill.yaml': '- root' })), {
    code: 'ERR_CONFIG',
    message: /is no mapping/,
  });
  t.equal(load(t.testdir({ 'refill.yaml': '' })).sources.root, 'default');
});

t.test('flags and variables follow from the names of fields', async (t) => {
  t.equal(flagOf('indexMemoryBytes'), '--index-memory-bytes');
  t.equal(variableOf('indexMemoryBytes'), 'REFILL_INDEX_MEMORY_BYTES');
  t.equal(new Set(FIELD_NAMES.map(flagOf)).size, FIELD_NAMES.length);
});

t.test('an option of startNode that is no field is refused with the field that was meant', async (t) => {
  await t.rejects(startNode({ root: '/nowhere', arenaByte: '64MiB' } as never), {
    code: 'ERR_CONFIG',
    message: /arenaByte \(option\) is no field of the configuration\. Did you mean arenaBytes\?/,
  });
});
