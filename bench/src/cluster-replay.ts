import { join } from 'node:path';
import {
  locateRouter,
  openTrace,
  type ReplayResult,
  type Router,
  randomRouter,
  replay,
  SeededRandom,
  systemClock,
} from '@refill/cli';
import { BenchCluster } from './bench-cluster.ts';
import { absolute, meets } from './compare.ts';
import { type BenchContext, type Result, type Scenario, Unavailable } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { BULK_DEADLINE_MS } from './stored-set.ts';
import { GIB, KIB } from './units.ts';

const NODES = 4;
const BLOCK_BYTES: number = 16 * KIB;
const CONCURRENCY = 8;
const QUICK_REQUESTS = 1000;
const TARGET = '>= 0.98';

/** A real trace over four nodes, each request at the node that a router chose, against an infinite cache. */
export const clusterReplay: Scenario = {
  name: 'cluster-replay',
  title: 'A trace over four nodes, by random routing and by locate',
  async run(context: BenchContext): Promise<Result[]> {
    if (context.trace === undefined) throw new Unavailable('no trace was given: --trace FILE');
    const routers = [randomRouter(new SeededRandom(1)), locateRouter({ deadlineMs: BULK_DEADLINE_MS })];
    const results: Result[] = [];
    for (const router of routers) results.push(...rows(await replayBy(router, context)));
    return results;
  },
};

/** On a cluster and a root of its own, so that neither routing finds what the other has put. */
async function replayBy(router: Router, context: BenchContext): Promise<ReplayResult> {
  using scratch = new Scratch(context, 'replay');
  const place = { root: join(scratch.dir, 'root') };
  const { coldArenaBytes: arenaBytes, segmentBytes } = context;
  const places = Array.from({ length: NODES }, () => place);
  await using cluster = await BenchCluster.start({ scratch, places, arenaBytes, segmentBytes });
  const stores = cluster.nodes.map(({ store }) => store);
  const isQuick = context.workingSetBytes < GIB;
  const result = await replay({ stores, clock: systemClock, router }, [await openTrace(context.trace!)], {
    blockBytes: BLOCK_BYTES,
    concurrency: CONCURRENCY,
    // A trace of an hour passes in seconds: what is hit again then must be everybody's when it was put.
    durability: 'shared',
    deadlineMs: BULK_DEADLINE_MS,
    ...(isQuick && { limit: QUICK_REQUESTS }),
  });
  if (result.mismatches > 0) throw new Error(`${result.mismatches} blocks are not what was written`);
  return result;
}

function rows(result: ReplayResult): Result[] {
  const { cluster, tiers, hitRate, idealHitRate, scale } = result;
  const name = `cluster-replay/${cluster!.routing}`;
  const ratio = hitRate / idealHitRate;
  const total = Object.values(tiers).reduce((sum, { bytes }) => sum + bytes, 0);
  const share = (tier: keyof typeof tiers): number => (100 * (tiers[tier]?.bytes ?? 0)) / total;
  const spread = cluster!.nodes.map(({ requests }) => requests).join(' + ');
  const row = { unit: '%', target: '' };
  return [
    {
      ...{ name: `${name}/hits`, value: 100 * hitRate, unit: '%', against: 'an infinite cache' },
      ...{ ratio, rival: 100 * idealHitRate, target: TARGET, met: meets(ratio, TARGET), rounds: 1 },
      note: `${spread} requests, ${result.blocksReferenced} blocks of 16 KiB, 1/${Math.round(1 / scale[0]!.ratio)} of ${scale[0]!.realModel}; one run`,
    },
    absolute({ ...row, name: `${name}/from-dram`, note: 'of the bytes of hits' }, share('dram'), 1),
    absolute({ ...row, name: `${name}/from-peers` }, share('peer'), 1),
    absolute({ ...row, name: `${name}/from-shared` }, share('shared'), 1),
    absolute(
      {
        ...{ name: `${name}/read-amplification`, unit: 'x', target: '' },
        note: 'bytes from the file system for a byte asked of it',
      },
      result.readAmplification,
      1,
    ),
    absolute(
      { name: `${name}/rate`, unit: 'requests/s', target: '' },
      (1000 * result.requests) / result.durationMs,
      1,
    ),
  ];
}
