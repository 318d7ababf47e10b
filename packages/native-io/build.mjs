// Builds the addon of this machine with one call of g++. Does nothing when its sources have not changed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const sources = join(here, 'native');
const output = join(here, 'build', 'refill_io.node');
const stamp = `${output}.sha256`;
const compiler = process.env.CXX ?? 'g++';
const flags = [
  '-O3',
  '-std=c++20',
  '-fPIC',
  '-shared',
  '-pthread',
  '-fvisibility=hidden',
  '-Wl,-z,nodelete',
  '-Wall',
  '-Wextra',
  '-s',
];

if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) {
  console.error(`Refill needs Linux on x86-64 or arm64; this is ${process.platform} ${process.arch}.`);
  process.exit(1);
}

const names = readdirSync(sources)
  .filter((name) => /\.(h|cc)$/.test(name))
  .sort();
const hash = createHash('sha256').update(`${compiler} ${flags.join(' ')} ${process.arch}`);
for (const name of names) hash.update(name).update(readFileSync(join(sources, name)));
const digest = hash.digest('hex');
if (existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) process.exit(0);

const headers = createRequire(import.meta.url)('node-api-headers').include_dir;
const units = names.filter((name) => name.endsWith('.cc') && !name.startsWith('test_'));
mkdirSync(dirname(output), { recursive: true });
// Built aside and renamed: a process that has the old addon mapped keeps it.
const fresh = `${output}.${process.pid}`;
const { status, error } = spawnSync(
  compiler,
  [...flags, '-I', headers, ...units.map((name) => join(sources, name)), '-o', fresh],
  { stdio: 'inherit' },
);
if (error?.code === 'ENOENT') {
  console.error(
    `The native addon needs a C++20 compiler, and '${compiler}' was not found. Install g++ 11 or newer`,
  );
  console.error('(Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++), or set CXX.');
  process.exit(1);
}
if (error) throw error;
if (status !== 0) {
  rmSync(fresh, { force: true });
  console.error(`The native addon did not compile: ${compiler} ended with status ${status}.`);
  process.exit(1);
}
renameSync(fresh, output);
writeFileSync(stamp, digest);
console.log('built packages/native-io/build/refill_io.node');
