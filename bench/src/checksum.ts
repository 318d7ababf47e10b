import { absolute, compared } from './compare.ts';
import { inTurn, median } from './rounds.ts';
import type { Result, Scenario } from './scenario.ts';
import { StoredSet } from './stored-set.ts';
import { MIB } from './units.ts';

/** What verifying every byte costs, and what the read path costs without it. */
export const checksum: Scenario = {
  name: 'checksum',
  title: 'Checksum on against off',
  async run(context): Promise<Result[]> {
    const blockBytes = MIB;
    const count = Math.floor(context.workingSetBytes / blockBytes);
    using set = await StoredSet.create(context, 'checksum', { blockBytes, count, chainBlocks: 64 });
    const shape = { keysPerRequest: 16, inFlight: 2 };
    const { on, off } = await inTurn(context.rounds, {
      on: () => set.readCold('chain', shape),
      off: () => set.readCold('chain', shape, { checksum: false }),
    });
    const cpu = median(off.map((sample) => sample.cpuSecondsPerGigabyte!));
    const against = 'the same without verification, 1 MiB';
    return [
      compared({ name: 'checksum/read', unit: 'GB/s', against, target: '>= 0.97' }, on, off),
      absolute({ name: 'cold-read/1MiB/cpu-unverified', unit: 's/GB', target: '<= 0.02' }, cpu, off.length),
    ];
  },
};
