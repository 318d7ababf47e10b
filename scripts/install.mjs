// Installs the dependencies, when they are missing or when the lockfile is another than the one installed.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireMachine, root, run } from './lib/steps.mjs';

const PNPM = 'pnpm@10.34.8';
const stamp = join(root, 'node_modules', '.refill-lockfile');

requireMachine([]);
const lockfile = readFileSync(join(root, 'pnpm-lock.yaml'));
const wanted = createHash('sha256').update(lockfile).digest('hex');
const installed = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
if (!installed) {
  console.log(`Installing dependencies with ${PNPM} ...`);
  if (run('npx', ['--yes', PNPM, 'install', '--frozen-lockfile', '--prefer-offline']) !== 0) {
    console.error('Installing the dependencies failed, see above. It needs npm and its registry once.');
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}
