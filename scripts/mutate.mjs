// node scripts/mutate.mjs [name...]: breaks one line that keeps an invariant at a time, in a copy of the sources, and
// demands that the tests named for it fail. One that survives is a missing test. docs/internals/testing.md has more.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expression, makeCopy, place, write } from './lib/sources-copy.mjs';

const LANES = 2;
const TEST_MS_MAX = 120_000;
const FOLDERS = ['fixtures', 'store', 'model', 'metadata', 'compliance'];

/** The environment without what a surrounding run of tap put there. */
const plain = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('TAP') && name !== 'NODE_OPTIONS'),
);

/** Whether a test file passes in the copy. One that takes too long does not. */
function passes(copy, test) {
  const child = spawn(process.execPath, [join(copy, 'test', test.replace(/\.ts$/, '.js'))], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...plain, TAP_BAIL: '1', TAP_TIMEOUT: '300', REFILL_SEED: process.env.REFILL_SEED ?? '1' },
  });
  let output = '';
  child.stdout.on('data', (bytes) => (output += bytes));
  child.stderr.on('data', (bytes) => (output += bytes));
  const timer = setTimeout(() => child.kill('SIGKILL'), TEST_MS_MAX);
  return new Promise((resolve) => {
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ good: code === 0, output });
    });
  });
}

/** Runs mutations; `onDone(mutation, killedBy)` for each, with `undefined` for one that survived. */
export async function mutate(mutations, onDone = () => {}) {
  const places = new Map(mutations.map((one) => [one, place(one)]));
  const waiting = [...mutations];
  const survivors = [];
  const lane = async () => {
    const copy = makeCopy(FOLDERS);
    try {
      for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
        const [path, text] = places.get(one);
        write(
          copy,
          path,
          text.replace(expression(one.find), () => one.replace),
        );
        let killedBy;
        for (const test of one.tests)
          if (killedBy === undefined && !(await passes(copy, test)).good) killedBy = test;
        if (killedBy === undefined) survivors.push(one.name);
        write(copy, path, text);
        onDone(one, killedBy);
      }
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return survivors;
}

/** The tests themselves, on sources that nothing broke: one that fails here proves nothing. */
export async function provePassing(mutations) {
  const copy = makeCopy(FOLDERS);
  const failing = [];
  try {
    const tests = [...new Set(mutations.flatMap((one) => one.tests))];
    const lane = async () => {
      for (let test = tests.shift(); test !== undefined; test = tests.shift()) {
        const { good, output } = await passes(copy, test);
        if (!good) failing.push(`${test}\n${output.slice(-2000)}`);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  return failing;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { MUTATIONS } = await import('./mutations.mjs');
  const names = process.argv.slice(2);
  const chosen = MUTATIONS.filter(
    ({ name }) => names.length === 0 || names.some((part) => name.includes(part)),
  );
  const failing = await provePassing(chosen);
  for (const one of failing) console.log(`FAILS UNBROKEN ${one}`);
  const survivors = await mutate(chosen, ({ name }, killedBy) =>
    console.log(killedBy ? `killed   ${name} (${killedBy})` : `SURVIVED ${name}`),
  );
  console.log(`${chosen.length - survivors.length} killed, ${survivors.length} survived`);
  process.exitCode = survivors.length + failing.length > 0 ? 1 : 0;
}
