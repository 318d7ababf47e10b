import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { keyOf } from '@refill/interface';
import t from 'tap';
import {
  type NodePlace,
  nodePlace,
  refillBin,
  repository,
  runRefill,
  startNodeProcess,
} from '../fixtures/node-process.ts';

t.setTimeout(900_000);

const at = (place: NodePlace): string[] => ['--socket', place.socketPath];
const own = (place: NodePlace): string[] => ['--root', place.root, '--state', place.state, ...at(place)];
const SMALL = ['--arena', '64MiB', '--segment', '16MiB'];
const workload = ['--generate', '--seed', '5', '--conversations', '3', '--turns', '6', '--json'];

t.test('a block goes in by one process, comes out by another and outlives the node', async (t) => {
  const place = nodePlace(t);
  const file = join(place.base, 'block');
  const bytes = randomBytes(300_001);
  writeFileSync(file, bytes);
  const node = await startNodeProcess(t, place);
  t.match(await runRefill(['put', 'one', file, ...at(place)]), { code: 0, stdout: 'stored\n' });
  t.match(await runRefill(['put', 'one', ...at(place)], { input: 'other bytes' }), {
    code: 0,
    stdout: 'exists\n',
  });
  const hex = Buffer.from(keyOf('one')).toString('hex');
  const put = await runRefill(
    ['put', 'two', '--parent', hex, '--durability', 'memory', '--json', ...at(place)],
    { input: 'abc' },
  );
  t.match(JSON.parse(put.stdout), {
    key: Buffer.from(keyOf('two')).toString('hex'),
    outcome: 'stored',
    bytes: 3,
  });
  t.match(await runRefill(['get', 'two', ...at(place)]), { code: 0, stdout: 'abc' });

  const status = JSON.parse((await runRefill(['status', '--json', ...at(place)])).stdout);
  t.match(status, {
    root: place.root,
    epoch: 1,
    directory: { namespaces: 1 },
    arena: { bytes: 64 * 2 ** 20 },
  });
  t.match((await runRefill(['status', ...own(place)])).stdout, /^arena .* of 64MiB used/m);
  t.match(await node.end('SIGTERM'), { code: 0, signal: null });
  t.equal((await runRefill(['status', ...at(place)])).code, 3);

  await startNodeProcess(t, place);
  const out = join(place.base, 'out');
  t.match(await runRefill(['get', hex, out, '--json', ...at(place)]), {
    code: 0,
    stdout: /"hit":true,"bytes":300001/,
  });
  t.ok(readFileSync(out).equals(bytes));
  t.match(
    await runRefill(['get', 'two', ...at(place)]),
    { code: 0, stdout: 'abc' },
    'drained before the end',
  );
  t.match(await runRefill(['get', 'three', ...at(place)]), { code: 1, stderr: /no such block: miss/ });
  t.match(JSON.parse((await runRefill(['status', '--json', ...at(place)])).stdout), { epoch: 2 });
});

t.test('locate and explain tell where blocks are, in tables and in JSON', async (t) => {
  const place = nodePlace(t);
  const node = await startNodeProcess(t, place);
  for (const name of ['one', 'two'])
    await runRefill(['put', name, ...at(place)], { input: name.repeat(1000) });
  const located = await runRefill(['locate', 'one', 'two', 'three', '--json', ...at(place)]);
  const [own] = JSON.parse(located.stdout);
  t.match(own, { prefixBlocks: 2, blocks: 2, tiers: { dram: 2 }, addresses: [] });
  t.match(
    (await runRefill(['locate', 'one', ...at(place)])).stdout,
    /^node +prefix +blocks +addresses\n\S+ +1 +1 +-/,
  );
  t.match(await runRefill(['locate', 'nowhere', ...at(place)]), { code: 0, stdout: / 0 +0 / });

  await node.end('SIGTERM');
  await startNodeProcess(t, place);
  const read = ['explain', '--read', 'one', 'two', 'three'];
  const cold = JSON.parse((await runRefill([...read, '--json', ...at(place)])).stdout);
  t.match(cold, {
    keys: 3,
    misses: 1,
    plan: [
      { name: 'dram', blocks: 0 },
      { name: 'shared', tier: 'shared', blocks: 2, bytes: 6000 },
    ],
    sources: [{ name: 'shared', loads: 0 }],
  });
  t.ok(cold.estimatedMs > 0);
  await runRefill(['get', 'one', join(place.base, 'out'), ...at(place)]);
  const { code, stdout } = await runRefill([...read, ...at(place)]);
  t.equal(code, 0);
  t.match(stdout, /^from +blocks +bytes +ready in\ndram +1 +.*\nshared +1 +.*\nnowhere +1 /);
  t.match(stdout, /^shared +\S+ \S+ +\S+ GB\/s +0\S+ +1 +0 +-$/m, 'measured by one load');
  const away = ['--socket', join(place.base, 'none.sock')];
  t.match(await runRefill([...read, ...away]), { code: 3, stderr: /no node answers/ });
  t.match(await runRefill(['locate', 'one', ...away]), { code: 3 });
});

t.test('files that cannot be read or written are errors of usage with their code', async (t) => {
  const place = nodePlace(t);
  await startNodeProcess(t, place);
  const refused = (...args: string[]) => runRefill([...args, ...at(place)], { input: 'abc' });
  t.match(await refused('put', 'one', '/nonexistent'), {
    code: 2,
    stderr: /ERR_INVALID_ARGUMENT: \/nonexistent cannot be read \(ENOENT\)/,
  });
  t.match(await refused('put', 'one', place.base), { code: 2, stderr: /cannot be read \(EISDIR\)/ });
  t.match(await refused('put', 'one'), { code: 0 });
  t.match(await refused('put', 'one', '--namespace', 'a b'), {
    code: 2,
    stderr: /ERR_INVALID_ARGUMENT: fingerprint\.name must match .* got "a b"\. Mend --namespace/,
  });
  t.match(await refused('put', 'one', '--dtype', 'fp8'), {
    code: 1,
    stderr: /ERR_FINGERPRINT_MISMATCH: .* dtype is "uint8" there, "fp8" was asked for\. Ask with/,
  });
  t.match(await refused('get', 'one', '/nonexistent/file'), {
    code: 2,
    stderr: /ERR_INVALID_ARGUMENT: \/nonexistent\/file cannot be written \(ENOENT\)/,
  });
});

t.test('a node lives on paths with spaces, relative ones, and in memory', async (t) => {
  const place = nodePlace(t, mkdtempSync(join('/dev/shm', 'refill test ')));
  t.teardown(() => rmSync(place.root, { recursive: true, force: true }));
  const spaced = {
    ...place,
    state: relative(repository, join(place.base, 'my state')),
    root: join(place.root, 'my root'),
  };
  const node = await startNodeProcess(t, spaced);
  const where = ['--root', spaced.root, '--state', spaced.state, '--socket', place.socketPath];
  t.match(await runRefill(['put', 'one', ...where], { input: 'abc' }), { code: 0, stdout: 'stored\n' });
  await node.end('SIGTERM');
  await startNodeProcess(t, spaced);
  t.match(await runRefill(['get', 'one', ...where]), { code: 0, stdout: 'abc' }, 'from its segment');
});

t.test('a replay verifies what it reads, cold from DRAM and after a restart from segments', async (t) => {
  const place = nodePlace(t);
  const node = await startNodeProcess(t, place);
  const cold = await runRefill(['replay', ...workload, '--concurrency', '1', ...at(place)]);
  t.equal(cold.code, 0, cold.stderr);
  const first = JSON.parse(cold.stdout);
  t.match(first, { mismatches: 0, promisedMisses: 0, tiers: { shared: { blocks: 0 } } });
  t.equal(first.hitRate, first.idealHitRate);
  t.equal(first.bytesWritten, (first.blocksReferenced - first.blocksHit) * 65_536);
  t.equal((await node.end('SIGINT')).code, 0);

  await startNodeProcess(t, place);
  const warm = await runRefill(['replay', ...workload, '--target', place.socketPath]);
  t.equal(warm.code, 0, warm.stderr);
  const second = JSON.parse(warm.stdout);
  t.match(second, { mismatches: 0, hitRate: 1, bytesWritten: 0, blocksReferenced: first.blocksReferenced });
  t.ok(second.tiers.shared.blocks > 0 && second.readAmplification >= 1 && second.readsPerPrefix > 0);
  t.match(
    (await runRefill(['replay', '--generate', '--limit', '3', '--progress', ...at(place)])).stderr,
    /replay \[#+\]/,
  );
});

t.test('an embedded replay needs no node', async (t) => {
  const place = nodePlace(t);
  const { code, stdout, stderr } = await runRefill([
    'replay',
    '--embedded',
    ...workload,
    ...own(place),
    ...SMALL,
  ]);
  t.equal(code, 0, stderr);
  t.match(JSON.parse(stdout), { mismatches: 0 });
});

t.test('start proves the node from another process and exits with --once', async (t) => {
  const place = nodePlace(t);
  const { code, stdout, stderr } = await runRefill(['start', '--once', ...own(place), '--arena', '128MiB']);
  t.equal(code, 0, stderr);
  t.match(stdout, /refill: ready: node .* serves .*mismatches +0: every byte read is the byte written/s);
  t.match(stdout, /from shared +\d/, 'the second replay reads from the disk');
});

t.test('two nodes of one identity, or on one root, are refused by name', async (t) => {
  const place = nodePlace(t);
  const node = await startNodeProcess(t, place);
  const serve = (...more: string[]) => runRefill(['serve', '--root', place.root, ...SMALL, ...more]);
  const sameState = await serve('--state', place.state, '--socket', join(place.base, 'b.sock'));
  t.match(sameState, { code: 1, stderr: /ERR_NODE_IDENTITY_TAKEN: the metadata database .* is in use/ });
  const sameName = await serve('--state', join(place.base, 'b'));
  t.match(sameName, {
    code: 1,
    stderr: new RegExp(`ERR_NODE_IDENTITY_TAKEN: node .* runs already .*process ${node.child.pid} on `),
  });
  const other = await serve('--state', join(place.base, 'c'), '--node', 'other');
  t.match(other, { code: 1, stderr: /ERR_NODE_IDENTITY_TAKEN: the metadata of .* is in another process/ });
  t.equal((await runRefill(['status', ...at(place)])).code, 0, 'the first one is none the worse');
});

t.test('a killed node leaves nothing that keeps the next one from starting', async (t) => {
  const place = nodePlace(t);
  const node = await startNodeProcess(t, place);
  await runRefill(['put', 'one', ...at(place)], { input: 'abc' });
  await node.end('SIGKILL');
  await startNodeProcess(t, place);
  t.match(await runRefill(['get', 'one', ...at(place)]), { code: 0, stdout: 'abc' });
});

t.test('rebuild restores every block from segments alone, and refuses beside a node', async (t) => {
  const place = nodePlace(t);
  const node = await startNodeProcess(t, place);
  for (const name of ['one', 'two', 'three']) await runRefill(['put', name, ...at(place)], { input: name });
  t.match(await runRefill(['rebuild', ...own(place)]), { code: 1, stderr: /ERR_NODE_IDENTITY_TAKEN/ });
  await node.end('SIGTERM');
  const { code, stdout, stderr } = await runRefill(['rebuild', '--json', '--progress', ...own(place)]);
  t.equal(code, 0, stderr);
  t.match(JSON.parse(stdout), { segments: 1, blocks: 3, blocksRestored: 3, torn: 0, skipped: 0 });
  t.match(stderr, /rebuild \[#+\] 100 %/);
  rmSync(place.state, { recursive: true });
  await startNodeProcess(t, place);
  for (const name of ['one', 'two', 'three']) {
    t.match(
      await runRefill(['get', name, ...at(place)]),
      { code: 0, stdout: name },
      'also when the database is gone',
    );
  }
  t.notOk(existsSync(join(place.state, 'rebuild.pending')), 'it came to its end');
});

t.test('doctor says what a directory can do, in words and in JSON', async (t) => {
  const place = nodePlace(t);
  const { code, stdout } = await runRefill(['doctor', '--root', place.root]);
  t.equal(code, 0, stdout);
  for (const name of [
    'file system',
    'O_EXCL',
    'rename',
    'fdatasync',
    'engine',
    'O_DIRECT',
    'flock',
    '/dev/shm',
    'memlock',
  ]) {
    t.match(stdout, new RegExp(`^ {2}(ok|info|warn) +${name} `, 'm'));
  }
  const two = await runRefill([
    'doctor',
    '--root',
    place.root,
    '--second',
    place.root,
    '--rounds',
    '70',
    '--json',
  ]);
  const report = JSON.parse(two.stdout);
  t.match(report, { root: place.root, failures: 0 });
  const mounts = report.findings.filter(
    ({ figures }: { figures?: { rounds?: number } }) => figures?.rounds !== undefined,
  );
  t.match(mounts, [
    { figures: { rounds: 70, right: 70, wrong: 0 } },
    { figures: { rounds: 70, right: 70, wrong: 0 } },
  ]);
  const apart = await runRefill(['doctor', '--root', place.root, '--second', place.base, '--rounds', '1']);
  t.match(apart, { code: 1, stdout: /is not the same directory/ });
});

t.test('the binary is where package.json says', async (t) => {
  t.match(readFileSync(refillBin, 'utf8'), /^#!\/usr\/bin\/env node/);
});
