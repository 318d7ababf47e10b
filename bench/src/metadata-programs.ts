import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { absolute, compared } from './compare.ts';
import type { ResidencyRun } from './metadata-residency.ts';
import type { ServiceRun } from './metadata-service.ts';
import { median, type Sample } from './rounds.ts';
import { runProgram } from './run-program.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { GIB } from './units.ts';

const PROGRAM_MS = 1_800_000;

/** Runs one of the programs of the metadata that prints JSON, in a process of its own. */
async function run<T>(name: string, ...words: (string | number)[]): Promise<T> {
  const program = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const args = ['--max-old-space-size=8192', program, ...words.map(String), '--json'];
  return JSON.parse(await runProgram(process.execPath, args, PROGRAM_MS)) as T;
}

const samples = (values: number[]): Sample[] => values.map((value) => ({ value }));

/** Keys looked up and committed through one service by four nodes, against its engine without any of that. */
export const metadataService: Scenario = {
  name: 'metadata-service',
  title: 'One metadata service and four nodes, in batches of 512 over the network',
  async run(context: BenchContext): Promise<Result[]> {
    const { rounds } = context;
    const [blocks, seconds] = context.workingSetBytes >= GIB ? [200_000, 5] : [50_000, 1];
    const runs: ServiceRun[] = [];
    for (let round = 0; round < rounds; round++) {
      using scratch = new Scratch(context, 'service');
      runs.push(await run('metadata-service', blocks, seconds, join(scratch.stateDir, 'db')));
    }
    const row = (what: 'commits' | 'lookups', where: 'network' | 'local', target: string): Result => {
      const name = `metadata-service/${what}${where === 'local' ? '/without-network' : ''}`;
      const against = 'the in-process engine in the same run';
      const of = (place: 'inProcess' | 'local' | 'network'): Sample[] =>
        samples(runs.map((one) => one[place][what]));
      return compared({ name, unit: '/s', against, target }, of(where), of('inProcess'));
    };
    const lookups = median(runs.map(({ network }) => network.lookups));
    const least = { name: 'metadata-service/lookups/least', unit: '/s', target: '>= 400000' };
    return [
      row('lookups', 'network', '>= 0.5'),
      absolute(least, lookups, rounds),
      row('commits', 'network', '>= 0.5'),
      row('lookups', 'local', ''),
      row('commits', 'local', ''),
    ];
  },
};

/** What heartbeats and residency of many nodes cost the service; nodes are simulated, the code is real. */
export const metadataResidency: Scenario = {
  name: 'metadata-residency',
  title: 'Heartbeats and residency of 1,000 nodes with 100,000 hot blocks each',
  async run(context: BenchContext): Promise<Result[]> {
    const shape = context.workingSetBytes >= GIB ? [1000, 100_000, 200] : [100, 10_000, 200];
    const [nodes, blocks, changes] = shape as [number, number, number];
    const { telling, beating, bytesPerEntry } = await run<ResidencyRun>(
      'metadata-residency',
      nodes,
      blocks,
      changes,
    );
    const each = `${nodes} nodes, ${blocks} hot blocks each`;
    const change = `${each}, ${changes} changes a node and second; CPU of decoding and noting, without the network`;
    const name = 'metadata-residency';
    return [
      absolute({ name: `${name}/cpu`, unit: 'cores', target: '<= 0.5', note: change }, beating.cores, 1),
      absolute({ name: `${name}/bytes`, unit: 'B/s', target: '' }, beating.bytesPerSecond, 1),
      absolute(
        {
          name: `${name}/telling/cpu`,
          unit: 'cores',
          target: '',
          note: `all blocks told anew, 50 nodes at a time`,
        },
        telling.cores,
        1,
      ),
      absolute({ name: `${name}/telling/bytes`, unit: 'B/s', target: '' }, telling.bytesPerSecond, 1),
      absolute({ name: `${name}/memory`, unit: 'B/entry', target: '' }, bytesPerEntry, 1),
    ];
  },
};
