import { absolute, compared } from './compare.ts';
import { FioLimit, requireFio } from './fio.ts';
import { LimitFile } from './rivals.ts';
import { inTurn, median } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { StoredSet } from './stored-set.ts';
import { KIB, MIB, sizeName } from './units.ts';

const SHAPE = { keysPerRequest: 16, inFlight: 4 };
const NOTE = 'ours 16 keys a request, 4 requests in flight';

/** Small blocks: neighbours of a prompt merge into runs and keep up with large reads; random ones with plain C. */
export const coldReadSmall: Scenario = {
  name: 'cold-read-small',
  title: 'Cold read of small blocks',
  async run(context) {
    await requireFio();
    using file = await LimitFile.create(context);
    const results: Result[] = [];
    for (const blockBytes of [64 * KIB, 256 * KIB])
      results.push(...(await oneSize(context, file, blockBytes)));
    return results;
  },
};

async function oneSize(context: BenchContext, file: LimitFile, blockBytes: number): Promise<Result[]> {
  const count = Math.floor(context.workingSetBytes / blockBytes);
  using set = await StoredSet.create(context, 'small', { blockBytes, count, chainBlocks: 256 });
  const fio = new FioLimit({ file: file.path, bytes: file.bytes, blockBytes: MIB });
  const lanes = await inTurn(context.rounds, {
    large: () => fio.read(),
    neighbours: () => set.readCold('chain', SHAPE),
    depth16: (round) => file.read(blockBytes, 16, 'random', round),
    random: (round) => set.readCold({ seed: round }, SHAPE),
  });
  const name = `cold-read-small/${sizeName(blockBytes)}`;
  const cpuRow = (order: 'neighbours' | 'random'): Result =>
    absolute(
      { name: `${name}/${order}/cpu`, unit: 's/GB', target: '<= 0.08', note: 'checksum included' },
      median(lanes[order].map((sample) => sample.cpuSecondsPerGigabyte!)),
      lanes[order].length,
    );
  const neighbours = {
    name: `${name}/neighbours`,
    unit: 'GB/s',
    against: 'fio io_uring O_DIRECT, 1 MiB',
    target: '>= 0.9',
    note: `${NOTE}; fio at ${fio.variant}`,
  };
  const random = {
    name: `${name}/random`,
    unit: 'GB/s',
    against: `C io_uring, ${sizeName(blockBytes)}, depth 16`,
    target: '>= 1.0',
    note: NOTE,
  };
  return [
    compared(neighbours, lanes.neighbours, lanes.large),
    cpuRow('neighbours'),
    compared(random, lanes.random, lanes.depth16),
    cpuRow('random'),
  ];
}
