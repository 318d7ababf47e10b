// Builds everything: TypeScript by project references, then the native addon of this machine.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function step(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

step(process.execPath, ['node_modules/typescript/bin/tsc', '--build']);
if (existsSync(`${root}/packages/native-io/build.mjs`))
  step(process.execPath, ['packages/native-io/build.mjs']);
