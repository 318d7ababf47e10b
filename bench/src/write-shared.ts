import { join } from 'node:path';
import { absolute, compared } from './compare.ts';
import { Dataset } from './dataset.ts';
import { nativeSample } from './rivals.ts';
import { inTurn, median } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { ServedNode } from './served-node.ts';
import { putAll } from './stored-set.ts';
import { KIB, MIB, sizeName } from './units.ts';

/** Durable puts out of a client's own memory against a C program that fills files of the same kind as segments. */
export const writeShared: Scenario = {
  name: 'write-shared',
  title: 'Write to the shared file system',
  async run(context) {
    const results: Result[] = [];
    for (const blockBytes of [64 * KIB, 1 * MIB]) results.push(...(await oneSize(context, blockBytes)));
    return results;
  },
};

async function oneSize(context: BenchContext, blockBytes: number): Promise<Result[]> {
  const { workingSetBytes: bytes, segmentBytes: segment } = context;
  const count = Math.floor(bytes / blockBytes);
  const qd = blockBytes < MIB ? 16 : 8;
  const { ours, theirs } = await inTurn(context.rounds, {
    async theirs() {
      using scratch = new Scratch(context, 'write');
      const file = join(scratch.dir, 'segment');
      return nativeSample(
        await context.native('uring_io', { file, op: 'write', bs: blockBytes, qd, bytes, segment }),
      );
    },
    async ours(round) {
      using scratch = new Scratch(context, 'write');
      await using node = await ServedNode.start({
        scratch,
        arenaBytes: context.coldArenaBytes,
        segmentBytes: segment,
      });
      return await putAll(node, new Dataset({ blockBytes, count, chainBlocks: 256, seed: round + 2 }));
    },
  });
  const name = `write-shared/${sizeName(blockBytes)}`;
  return [
    compared(
      {
        name,
        unit: 'GB/s',
        against: `C io_uring, depth ${qd}`,
        target: '>= 0.95',
        note: 'fresh segments sized by ftruncate on both sides; ours durable and indexed with every answer',
      },
      ours,
      theirs,
    ),
    absolute(
      { name: `${name}/cpu`, unit: 's/GB', target: '' },
      median(ours.map((sample) => sample.cpuSecondsPerGigabyte!)),
      ours.length,
    ),
  ];
}
