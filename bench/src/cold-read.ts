import { absolute, compared } from './compare.ts';
import { FioLimit, requireFio } from './fio.ts';
import { LimitFile } from './rivals.ts';
import { inTurn, median, medianSample } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { StoredSet } from './stored-set.ts';
import { MIB, sizeName } from './units.ts';

/** Large blocks, read once each by a node that has just started, against what fio gets out of the same disk. */
export const coldRead: Scenario = {
  name: 'cold-read',
  title: 'Cold read of large blocks',
  async run(context) {
    await requireFio();
    using file = await LimitFile.create(context);
    const results: Result[] = [];
    for (const blockBytes of [1 * MIB, 4 * MIB, 16 * MIB])
      results.push(...(await oneSize(context, file, blockBytes)));
    return results;
  },
};

async function oneSize(context: BenchContext, file: LimitFile, blockBytes: number): Promise<Result[]> {
  const count = Math.floor(context.workingSetBytes / blockBytes);
  using set = await StoredSet.create(context, 'cold', { blockBytes, count, chainBlocks: 64 });
  const fio = new FioLimit({ file: file.path, bytes: file.bytes, blockBytes });
  // 16 MiB a request and two of them: the disk never waits for a round trip.
  const shape = { keysPerRequest: Math.max(1, (16 * MIB) / blockBytes), inFlight: 2 };
  const { ours, theirs } = await inTurn(context.rounds, {
    theirs: () => fio.read(),
    ours: () => set.readCold('chain', shape),
  });
  const name = `cold-read/${sizeName(blockBytes)}`;
  const note = `fio at ${fio.variant}; ours ${shape.keysPerRequest} keys a request, ${shape.inFlight} requests in flight`;
  const cpu = median(ours.map((sample) => sample.cpuSecondsPerGigabyte!));
  return [
    compared({ name, unit: 'GB/s', against: 'fio io_uring O_DIRECT', target: '>= 0.97', note }, ours, theirs),
    absolute(
      { name: `${name}/cpu`, unit: 's/GB', target: '<= 0.055', note: 'checksum included' },
      cpu,
      ours.length,
      medianSample(ours),
    ),
  ];
}
