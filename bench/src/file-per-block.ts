import { join } from 'node:path';
import { compared } from './compare.ts';
import { Dataset } from './dataset.ts';
import { nativeSample } from './rivals.ts';
import { inTurn, type Sample } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { ServedNode, type ServeOptions } from './served-node.ts';
import { putAll, readStored } from './stored-set.ts';
import { GIB, KIB, MIB, sizeName } from './units.ts';

/** Store targets by block size; between the two ends the table gives none. */
const STORE_TARGETS: ReadonlyMap<number, string> = new Map([
  [64 * KIB, '>= 8'],
  [4 * MIB, '>= 2'],
]);

/** The same blocks as files, one each, as the file tiers of inference engines keep them. */
export const filePerBlock: Scenario = {
  name: 'file-per-block',
  title: 'One file a block',
  async run(context) {
    const results: Result[] = [];
    for (const blockBytes of [64 * KIB, 256 * KIB, 1 * MIB, 4 * MIB])
      results.push(...(await oneSize(context, blockBytes)));
    return results;
  },
};

async function oneSize(context: BenchContext, blockBytes: number): Promise<Result[]> {
  const count = Math.floor(Math.min(context.workingSetBytes / 2, GIB) / blockBytes);
  const loads: Record<'ours' | 'small' | 'huge', Sample[]> = { ours: [], small: [], huge: [] };
  const files = async (pages: 'small' | 'huge'): Promise<Sample> => {
    using scratch = new Scratch(context, 'files');
    const job = { dir: join(scratch.dir, 'blocks'), block: blockBytes, blocks: count, pages };
    const store = nativeSample(await context.native('file_per_block', { ...job, op: 'store' }));
    loads[pages].push(nativeSample(await context.native('file_per_block', { ...job, op: 'load' })));
    return store;
  };
  const stores = await inTurn(context.rounds, {
    small: () => files('small'),
    async ours(round) {
      using scratch = new Scratch(context, 'packed');
      const { coldArenaBytes: arenaBytes, segmentBytes } = context;
      const options: ServeOptions = { scratch, arenaBytes, segmentBytes };
      const dataset = new Dataset({ blockBytes, count, chainBlocks: 256, seed: round + 2 });
      let store: Sample;
      {
        await using node = await ServedNode.start(options);
        store = await putAll(node, dataset);
      }
      await using node = await ServedNode.start(options);
      loads.ours.push(
        await readStored(node, dataset, dataset.keys, {
          keysPerRequest: Math.max(1, Math.min(16, (16 * MIB) / blockBytes)),
          inFlight: 2,
        }),
      );
      return store;
    },
    huge: () => files('huge'),
  });
  return rows(sizeName(blockBytes), STORE_TARGETS.get(blockBytes) ?? '', stores, loads);
}

type Lanes = Record<'ours' | 'small' | 'huge', Sample[]>;

function rows(size: string, storeTarget: string, stores: Lanes, loads: Lanes): Result[] {
  const name = `file-per-block/${size}`;
  const unit = 'GB/s';
  const against = 'one O_DIRECT file a block, 16 threads, 4 KiB pages as the engines have';
  const huge = 'the same with 2 MiB pages, which the engines lack';
  const cpu = { unit: 's/GB', against, target: '<= 0.05', field: 'cpuSecondsPerGigabyte' } as const;
  return [
    compared({ name: `${name}/store`, unit, against, target: storeTarget }, stores.ours, stores.small),
    compared({ name: `${name}/load`, unit, against, target: '>= 3' }, loads.ours, loads.small),
    compared({ name: `${name}/store/cpu`, ...cpu }, stores.ours, stores.small),
    compared({ name: `${name}/load/cpu`, ...cpu }, loads.ours, loads.small),
    compared({ name: `${name}/store/huge`, unit, against: huge, target: '' }, stores.ours, stores.huge),
    compared({ name: `${name}/load/huge`, unit, against: huge, target: '' }, loads.ours, loads.huge),
  ];
}
