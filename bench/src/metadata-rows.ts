import { type BenchRow, benchDurableCommit, benchIndex } from './metadata.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { GIB } from './units.ts';

/** The metadata's rows in the form of the table, under short names. */
function resultOf(name: string, row: BenchRow, rounds: number): Result {
  const { value, unit, against = '', ratio = null, target = '', met = null } = row;
  return { name, value, unit, against, ratio, target, met, rounds, note: row.name };
}

const INDEX_ROWS = ['p50', 'p99', 'memory', 'load'] as const;

/** Lookup of a whole agentic prompt in the index, asked of the metadata directly. */
export const matchPrefix: Scenario = {
  name: 'match-prefix',
  title: 'matchPrefix of 14,000 keys',
  async run(context: BenchContext): Promise<Result[]> {
    const sizes = context.workingSetBytes >= GIB ? [1_000_000, 10_000_000] : [100_000];
    const results: Result[] = [];
    for (const blocks of sizes) {
      // The database is a node's own state: it lies where that lies, on a local disk.
      using scratch = new Scratch(context, 'index');
      const rows = await benchIndex(blocks, { scratch: scratch.stateDir });
      const prefix = `match-prefix/${blocks / 1e6}M`;
      results.push(...rows.map((row, i) => resultOf(`${prefix}/${INDEX_ROWS[i] ?? i}`, row, 1)));
    }
    return results;
  },
};

/** Durable commits against LevelDB from C++, each in the same rounds. */
export const commit: Scenario = {
  name: 'commit',
  title: 'Durable commit of records',
  async run(context: BenchContext): Promise<Result[]> {
    using scratch = new Scratch(context, 'commit');
    const records = context.workingSetBytes >= GIB ? 200_000 : 20_000;
    const { rounds } = context;
    const rows = await benchDurableCommit(records, { scratch: scratch.stateDir, rounds });
    return rows.map((row) => resultOf('commit/100', row, rounds));
  },
};
