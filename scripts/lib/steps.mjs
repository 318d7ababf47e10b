// What the scripts share: running a command in the repository's root, and checks of this machine.
import { spawnSync } from 'node:child_process';
import { delimiter, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

// test/node_modules/.bin holds the `node` of another version, for the second run of the suite only.
export const environment = {
  ...process.env,
  PATH: (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.endsWith(`${sep}test${sep}node_modules${sep}.bin`))
    .join(delimiter),
};

/** Runs a command in the root with our terminal and returns its exit status; a signal counts as 1. */
export function run(command, args, env = environment) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env });
  if (error) console.error(`${command}: ${error.message}`);
  return error ? 1 : (status ?? 1);
}

/** Whether a command can be started at all. */
export function has(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore', env: environment }).error === undefined;
}

const TOOLS = {
  'g++': 'a C++20 compiler for the native addon: apt-get install g++ (or dnf install gcc-c++)',
  python3: 'Python 3 for the tests of the Python side: apt-get install python3 (or dnf install python3)',
};

/** Ends the process with a sentence that says what to install, if something is missing. */
export function requireMachine(tools) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const wrong = [];
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch))
    wrong.push(`Refill runs on Linux x86-64 and arm64, this is ${process.platform} ${process.arch}.`);
  if (major < 20 || (major === 20 && minor < 19))
    wrong.push(`Refill needs Node 20.19 or newer, this is ${process.versions.node}: see https://nodejs.org`);
  for (const tool of tools) if (!has(tool)) wrong.push(`${tool} is missing. Install ${TOOLS[tool]}`);
  if (wrong.length === 0) return;
  console.error(wrong.join('\n'));
  process.exit(1);
}
