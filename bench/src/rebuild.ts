import { rmSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { absolute } from './compare.ts';
import { Dataset } from './dataset.ts';
import { median } from './rounds.ts';
import { runProgram } from './run-program.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { nodeDirectories, ServedNode } from './served-node.ts';
import { putAll } from './stored-set.ts';
import { GIB, KIB } from './units.ts';

/** The smallest payload that a segment holds without waste: the rate is of records, not of bytes. */
const BLOCK_BYTES = 4 * KIB;

/** The metadata is deleted and made again from the segments alone. */
export const rebuild: Scenario = {
  name: 'rebuild',
  title: 'Rebuild from segments alone',
  async run(context: BenchContext): Promise<Result[]> {
    const count = context.workingSetBytes >= GIB ? 1_000_000 : 100_000;
    using scratch = new Scratch(context, 'rebuild');
    const { root, state } = nodeDirectories(scratch);
    {
      const { coldArenaBytes: arenaBytes, segmentBytes } = context;
      await using node = await ServedNode.start({ scratch, arenaBytes, segmentBytes });
      await putAll(node, new Dataset({ blockBytes: BLOCK_BYTES, count, chainBlocks: 256, seed: 1 }));
    }
    const rates: number[] = [];
    for (let round = 0; round < context.rounds; round++) {
      // Everything that the node keeps for itself; what is on the shared file system stays.
      rmSync(state, { recursive: true, force: true });
      const [program, args] = ServedNode.command('rebuild', '--root', root, '--state', state, '--json');
      const began = performance.now();
      const report: { blocks: number } = JSON.parse(await runProgram(program, args));
      const seconds = (performance.now() - began) / 1000;
      if (report.blocks !== count) throw new Error(`rebuild found ${report.blocks} of ${count} blocks`);
      rates.push(count / seconds);
    }
    const row = {
      name: 'rebuild/blocks',
      unit: 'blocks/s',
      target: '>= 200000',
      note: `${count} blocks of 4 KiB; whole run of the command, its start included`,
    };
    return [absolute(row, median(rates), rates.length)];
  },
};
