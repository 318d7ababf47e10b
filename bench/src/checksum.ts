import { absolute, compared } from './compare.ts';
import { inTurn, median } from './rounds.ts';
import type { Result, Scenario } from './scenario.ts';
import { StoredSet } from './stored-set.ts';
import { MIB } from './units.ts';
import { VerifiedFile } from './verified-file.ts';

/**
 * What verifying every byte costs. A node always verifies, so the comparison is made at the layer below it, on the
 * same disk with the same batches; the node's own reads in the same rounds, less that cost, are its unverified CPU.
 */
export const checksum: Scenario = {
  name: 'checksum',
  title: 'Checksum on against off',
  async run(context): Promise<Result[]> {
    const blockBytes = MIB;
    const count = Math.floor(context.workingSetBytes / blockBytes);
    using set = await StoredSet.create(context, 'checksum', { blockBytes, count, chainBlocks: 64 });
    await using file = await VerifiedFile.create(context);
    const { on, off, node } = await inTurn(context.rounds, {
      on: () => file.read(true),
      off: () => file.read(false),
      node: () => set.readCold('chain', { keysPerRequest: 16, inFlight: 2 }),
    });
    const unverified = node.map(
      (sample, round) =>
        sample.cpuSecondsPerGigabyte! -
        on[round]!.cpuSecondsPerGigabyte! +
        off[round]!.cpuSecondsPerGigabyte!,
    );
    const against = 'the same batches unverified, 1 MiB, I/O layer alone';
    return [
      compared({ name: 'checksum/read', unit: 'GB/s', against, target: '>= 0.97' }, on, off),
      absolute(
        {
          name: 'cold-read/1MiB/cpu-unverified',
          unit: 's/GB',
          target: '<= 0.02',
          note: 'all processes of a cold read through the SDK, less the cost of the checksum in the same round',
        },
        median(unverified),
        node.length,
      ),
    ];
  },
};
