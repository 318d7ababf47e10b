import { join } from 'node:path';
import { KEY_BYTES } from '@refill/interface';
import { BenchCluster } from './bench-cluster.ts';
import { compared } from './compare.ts';
import { CpuMeter } from './cpu-meter.ts';
import { Dataset } from './dataset.ts';
import { FioLimit, requireFio } from './fio.ts';
import { readBlocks } from './read-blocks.ts';
import { inTurn, type Sample } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import type { ServedNode } from './served-node.ts';
import { BULK_DEADLINE_MS, putAll, sampleOf } from './stored-set.ts';
import { twoMounts } from './two-mounts.ts';
import { KIB, MIB } from './units.ts';

const BLOCK_BYTES = MIB;
const BLOCKS = 128;
const SHAPE = { keysPerRequest: 16, inFlight: 2, deadlineMs: BULK_DEADLINE_MS };
/** Prefixes of small blocks that take the same way first, so that the code of both nodes is compiled. */
const WARM_UPS = 16;

/** A prefix that node A has just put, read for the first time by node B on another host, against fio on B's mount. */
export const firstRead: Scenario = {
  name: 'first-read',
  title: 'First read of what another node has just put, over the shared file system',
  async run(context: BenchContext): Promise<Result[]> {
    await requireFio();
    using scratch = new Scratch(context, 'first');
    await using mounts = await twoMounts(scratch);
    const sizes = { arenaBytes: context.coldArenaBytes, segmentBytes: context.segmentBytes };
    await using cluster = await BenchCluster.start({ scratch, places: mounts.places, ...sizes });
    const [a, b] = cluster.nodes as [ServedNode, ServedNode];
    let seed = 1;
    const fresh = (blockBytes: number): Dataset =>
      new Dataset({ blockBytes, count: BLOCKS, chainBlocks: BLOCKS, seed: seed++ });
    for (let i = 0; i < WARM_UPS; i++) await putThenRead(a, b, fresh(64 * KIB));
    const bytes = BLOCKS * BLOCK_BYTES;
    const name = 'first-read.bin';
    const fio = new FioLimit({ file: join(mounts.dirs[1], name), bytes, blockBytes: BLOCK_BYTES });
    let fromPeers = 0;
    const { ours, theirs } = await inTurn(context.rounds, {
      theirs: async () => {
        // Written by the other host just before, as what is read by ours.
        const file = join(mounts.dirs[0], name);
        await context.native('uring_io', { file, op: 'write', bs: MIB, qd: 4, bytes });
        return await fio.read();
      },
      ours: async () => {
        const { sample, peerBytes } = await putThenRead(a, b, fresh(BLOCK_BYTES));
        fromPeers += peerBytes;
        return sample;
      },
    });
    const share = fromPeers / (bytes * ours.length);
    const row = {
      name: 'first-read/1MiB',
      unit: 'GB/s',
      against: 'fio io_uring O_DIRECT on the same mount, of a file written by the other host',
      target: '>= 0.85',
      note: `${mounts.what}; ${BLOCKS} blocks a prefix, fio at ${fio.variant}; ${(100 * share).toFixed(0)} % came from the memory of the other node`,
    };
    return [compared(row, ours, theirs)];
  },
};

async function putThenRead(
  a: ServedNode,
  b: ServedNode,
  dataset: Dataset,
): Promise<{ sample: Sample; peerBytes: number }> {
  await putAll(a, dataset);
  const namespace = await b.store.namespace(dataset.fingerprint());
  const peerBytes = async (): Promise<number> =>
    (await b.store.status()).sources.reduce((sum, { tier, bytes }) => sum + (tier === 'peer' ? bytes : 0), 0);
  const before = await peerBytes();
  const cpu = new CpuMeter([a.pid, b.pid]);
  const { seconds, latenciesUs } = await readBlocks(namespace, dataset.keys, SHAPE);
  const count = dataset.keys.length / KEY_BYTES;
  const sample = sampleOf(count * dataset.shape.blockBytes, seconds, cpu.seconds(), latenciesUs);
  return { sample, peerBytes: (await peerBytes()) - before };
}
