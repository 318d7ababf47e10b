// npm start: installs, builds, then serves one node and proves it with a generated workload.
import { spawn } from 'node:child_process';
import { environment, requireMachine, root, run } from './lib/steps.mjs';

requireMachine(['g++']);
for (const step of ['scripts/install.mjs', 'scripts/build.mjs'])
  if (run(process.execPath, [step]) !== 0) process.exit(1);

const args = ['packages/cli/bin/refill.js', 'start', ...process.argv.slice(2)];
const node = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env: environment });
// Ctrl-C reaches the whole process group; other signals reach only us. The node decides when it has finished.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => node.kill(signal));
node.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
