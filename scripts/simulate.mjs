// node scripts/simulate.mjs [--seeds N] [--from SEED] [--lanes N] [--seed SEED]: runs simulated clusters, a seed each,
// and prints those that break a guarantee. `--seed` runs one and tells what happens in it. docs/internals/testing.md.
import { fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { expression, makeCopy, place, write } from './lib/sources-copy.mjs';

const FOLDERS = ['fixtures', 'simulation'];
/** Seeds that a process is given at a time. */
const CHUNK = 50;
const FAILURES_MAX = 20;

/** The environment without what a surrounding run of tap put there. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('TAP') && name !== 'NODE_OPTIONS'),
);

/** Sources that `simulateSeeds` runs. `remove` them afterwards. */
export function makeSimulation() {
  const folder = makeCopy(FOLDERS);
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Breaks texts of the sources; the answer mends them. */
export function plant({ folder }, edits) {
  const mend = [];
  for (const edit of edits) {
    const [path, text] = place(edit);
    const broken = (mend.find((one) => one.path === path)?.broken ?? text).replace(
      expression(edit.find),
      () => edit.replace,
    );
    const before = mend.find((one) => one.path === path);
    if (before) before.broken = broken;
    else mend.push({ path, text, broken });
    write(folder, path, broken);
  }
  return () => {
    for (const { path, text } of mend) write(folder, path, text);
  };
}

/**
 * Runs the seeds `from .. from + seeds` in `lanes` processes. `isGate` ends at the first seed that breaks a guarantee,
 * which is the least. `onOutcome` hears of every seed.
 */
export async function simulateSeeds(
  { folder },
  { from, seeds, lanes = 2, planted, isGate = false, isVerbose = false, onOutcome = () => {} },
) {
  let next = from;
  const failures = [];
  const total = { seeds: 0, fired: 0, virtualMs: 0 };
  const lane = () =>
    new Promise((resolve, reject) => {
      const child = fork(join(folder, 'test/simulation/worker.js'), {
        cwd: folder,
        env,
        execArgv: ['--max-semi-space-size=32'],
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      let running = 0;
      const give = () => {
        const isOver = next >= from + seeds || failures.length >= (isGate ? 1 : FAILURES_MAX);
        if (isOver) {
          child.send('end');
          return;
        }
        running = next;
        const count = Math.min(CHUNK, from + seeds - next);
        next += count;
        child.send({ from: running, count, plant: planted, isGate, isVerbose });
      };
      child.on('message', (outcome) => {
        if (outcome === 'done') {
          give();
          return;
        }
        running = outcome.seed + 1;
        total.seeds++;
        total.fired += outcome.fired;
        total.virtualMs += outcome.virtualMs;
        if (outcome.violations.length > 0) failures.push(outcome);
        onOutcome(outcome);
      });
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        if (code === 0) resolve();
        else reject(new Error(`the process of seed ${running} ended with ${signal ?? code}`));
      });
      give();
    });
  await Promise.all(Array.from({ length: lanes }, lane));
  failures.sort((a, b) => a.seed - b.seed);
  return { ...total, failures };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '10000' },
      from: { type: 'string', default: '1' },
      lanes: { type: 'string', default: '2' },
      seed: { type: 'string' },
      hashes: { type: 'boolean', default: false },
    },
  });
  const simulation = makeSimulation();
  const startedMs = performance.now();
  try {
    const isOne = values.seed !== undefined;
    const { seeds, virtualMs, fired, failures } = await simulateSeeds(simulation, {
      from: Number(values.seed ?? values.from),
      seeds: isOne ? 1 : Number(values.seeds),
      lanes: isOne ? 1 : Number(values.lanes),
      isVerbose: isOne,
      onOutcome: ({ seed, hash, violations }) => {
        if (isOne || values.hashes) console.log(`seed ${seed}: ${hash}`);
        for (const violation of violations) console.log(`seed ${seed}: ${violation}`);
      },
    });
    const tookMs = performance.now() - startedMs;
    console.log(
      `${seeds} seeds, ${failures.length} broken, ${(virtualMs / 3_600_000).toFixed(1)} hours of clusters, ` +
        `${fired} events in ${(tookMs / 1000).toFixed(1)} s (${(tookMs / seeds).toFixed(1)} ms a seed)`,
    );
    process.exitCode = failures.length > 0 ? 1 : 0;
  } finally {
    simulation.remove();
  }
}
