// node scripts/mutate.mjs [name...]: breaks one line that keeps an invariant at a time, in a copy of the sources, and
// demands that the tests named for it fail. One that survives is a missing test. docs/internals/testing.md has more.
import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const LANES = 2;
const TEST_MS_MAX = 120_000;
const PACKAGES = ['interface', 'metadata', 'store'];
const FOLDERS = ['fixtures', 'store', 'model', 'metadata', 'compliance'];
const OPTIONS = {
  compilerOptions: {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  },
};

/** Every .ts file below a folder, as path and text. */
function sources(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.includes('node_modules'))
    .map((name) => [join(folder, name), readFileSync(join(folder, name), 'utf8')]);
}

/** A file's text as JavaScript in the copy: beside the source for tests that import it, in dist for the package. */
function write(copy, path, text) {
  const relative = path.slice(root.length + 1);
  const { outputText } = ts.transpileModule(text, { ...OPTIONS, fileName: `${relative.slice(0, -3)}.mts` });
  for (const name of [relative, relative.replace(/^(packages\/[^/]+)\/src\//, '$1/dist/')]) {
    const to = join(copy, `${name.slice(0, -3)}.js`);
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, outputText);
  }
}

function makeCopy() {
  const copy = mkdtempSync(join(tmpdir(), 'refill-mutate-'));
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const name of PACKAGES) {
    const from = join(root, 'packages', name);
    mkdirSync(join(copy, 'packages', name), { recursive: true });
    for (const part of ['package.json', 'node_modules']) {
      cpSync(join(from, part), join(copy, 'packages', name, part), {
        recursive: true,
        verbatimSymlinks: true,
      });
    }
    for (const [path, text] of sources(join(from, 'src'))) write(copy, path, text);
  }
  for (const part of ['package.json', 'node_modules', 'golden']) {
    cpSync(join(root, 'test', part), join(copy, 'test', part), { recursive: true, verbatimSymlinks: true });
  }
  for (const folder of FOLDERS) {
    for (const [path, text] of sources(join(root, 'test', folder))) write(copy, path, text);
  }
  return copy;
}

/** A text as an expression in which any white space is as good as another. */
function expression(find) {
  if (find instanceof RegExp) return find;
  const words = find.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(words.join('\\s+'), 'g');
}

/** The one file of a package that holds the text, exactly once. */
function place({ name, package: one, find }) {
  const hits = sources(join(root, 'packages', one, 'src')).flatMap(([path, text]) =>
    [...text.matchAll(expression(find))].map(() => [path, text]),
  );
  if (hits.length !== 1)
    throw new Error(`${name}: its text is found ${hits.length} times, not once: ${find}`);
  return hits[0];
}

/** The environment without what a surrounding run of tap put there. */
const plain = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('TAP') && name !== 'NODE_OPTIONS'),
);

/** Whether a test file passes in the copy. One that takes too long does not. */
function passes(copy, test) {
  const child = spawn(process.execPath, [join(copy, 'test', test.replace(/\.ts$/, '.js'))], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...plain, TAP_BAIL: '1', REFILL_SEED: process.env.REFILL_SEED ?? '1' },
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
    const copy = makeCopy();
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
  const copy = makeCopy();
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
  const { MUTATIONS } = await import('../test/mutation/mutations.mjs');
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
