/**
 * The bench in one command: `node bench/dist/run.js [cluster] [--only NAME]... [--rounds N] [--quick] [--json] [--write]
 * [--dir DIR] [--trace FILE]`.
 * Exit code 0 when everything was measured, whether it reached its target or not; 1 when a scenario failed; 2 for bad
 * arguments.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { nativeProgram } from './build-native.ts';
import { unmeasured } from './compare.ts';
import { describeMachine, loadText } from './machine.ts';
import { consoleLine, jsonRow, machineSection, scenarioSection, withSection } from './report.ts';
import { runProgram } from './run-program.ts';
import { type BenchContext, type NativeOutput, type Result, type Scenario, Unavailable } from './scenario.ts';
import { clusterScenarios, scenarios } from './scenarios.ts';
import { GIB, MIB } from './units.ts';

const RESULTS: string = fileURLToPath(new URL('../RESULTS.md', import.meta.url));
const ALL: readonly Scenario[] = [...new Set([...scenarios, ...clusterScenarios])];
const namesOf = (list: readonly Scenario[]): string => list.map(({ name }) => name).join(', ');
const USAGE = `Usage: npm run bench -- [cluster] [options]

  cluster       what several nodes do together (${namesOf(clusterScenarios)})
                instead of what one does (${namesOf(scenarios)})
  --only NAME   run this scenario; may be repeated
  --rounds N    rounds of each comparison, default 5
  --quick       a quarter of the bytes and two rounds: checks that it works, its figures are no results
  --dir DIR     directory on the file system to measure, default ./.bench
  --trace FILE  trace to replay (cluster-replay), of a format that refill replay reads
  --json        print an array of rows
  --write       write the tables to bench/RESULTS.md
`;

interface Options {
  chosen: readonly Scenario[];
  rounds: number;
  quick: boolean;
  json: boolean;
  write: boolean;
  dir: string;
  trace: string | undefined;
}

function parse(): Options | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      dir: { type: 'string', default: '.bench' },
      trace: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new TypeError(`--rounds must be a whole number from 1, got ${values.rounds}`);
  if (positionals.length > 1 || !['cluster', undefined].includes(positionals[0]))
    throw new TypeError(`the only group of scenarios is cluster, got ${positionals.join(' ')}`);
  const { only } = values;
  for (const name of only ?? [])
    if (!ALL.some((scenario) => scenario.name === name))
      throw new TypeError(`--only ${name}: no such scenario`);
  const group = positionals[0] === 'cluster' ? clusterScenarios : scenarios;
  const chosen = only === undefined ? group : ALL.filter(({ name }) => only.includes(name));
  return {
    chosen,
    rounds,
    quick: values.quick,
    json: values.json,
    write: values.write,
    dir: resolve(values.dir),
    trace: values.trace === undefined ? undefined : resolve(values.trace),
  };
}

function contextOf({ rounds, quick, dir, trace }: Options): BenchContext {
  return {
    dir,
    rounds,
    trace,
    workingSetBytes: quick ? 512 * MIB : 2 * GIB,
    coldArenaBytes: quick ? 256 * MIB : 512 * MIB,
    segmentBytes: quick ? 256 * MIB : GIB,
    async native(program, args): Promise<NativeOutput> {
      const words = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)]);
      return JSON.parse(await runProgram(nativeProgram(program), words));
    },
    log: (line) => console.error(line),
  };
}

async function main(options: Options): Promise<number> {
  mkdirSync(options.dir, { recursive: true });
  const context = contextOf(options);
  const all: Result[] = [];
  let document = existsSync(RESULTS) ? readFileSync(RESULTS, 'utf8') : '';
  document = withSection(document, 'machine', machineSection(await describeMachine(options.dir)));
  let failed = false;
  for (const scenario of options.chosen) {
    context.log(`${scenario.title} ...`);
    const load = loadText();
    let results: Result[];
    try {
      results = await scenario.run(context);
    } catch (error) {
      if (!(error instanceof Unavailable)) {
        failed = true;
        context.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
      results = [
        // What failed is of this machine, its paths included: the log has it, a table that is kept does not.
        unmeasured(
          scenario.name,
          error instanceof Unavailable ? error.message : 'it failed: the output of the run says why',
        ),
      ];
    }
    for (const result of results) context.log(consoleLine(result));
    all.push(...results);
    document = withSection(document, scenario.name, scenarioSection(scenario, results, options.rounds, load));
    if (options.write) writeFileSync(RESULTS, document);
  }
  if (options.json) console.log(JSON.stringify(all.map(jsonRow), null, 2));
  return failed ? 1 : 0;
}

// Scratch directories and nodes are cleaned up when the process exits, and only then.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

let options: Options | undefined;
try {
  options = parse();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  process.exit(2);
}
if (options === undefined) console.log(USAGE);
else process.exitCode = await main(options);
