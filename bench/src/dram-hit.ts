import { performance } from 'node:perf_hooks';
import { type BlockNamespace, KEY_BYTES } from '@refill/interface';
import { compared } from './compare.ts';
import { onTwoCores } from './cores.ts';
import { Dataset, permutation } from './dataset.ts';
import { inTurn, percentile, type Sample } from './rounds.ts';
import type { Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { ServedNode } from './served-node.ts';
import { BULK_DEADLINE_MS, putAll } from './stored-set.ts';
import { GIB, KIB } from './units.ts';

const KEYS = 16;
const REQUESTS = 20_000;
/** 16 blocks cover a quarter of them: neither one hot line nor a set that misses the processor's caches. */
const BLOCKS = 1024;

/** Round trip of a request that DRAM answers, against the bare round trip of two processes over the same socket. */
export const dramHit: Scenario = {
  name: 'dram-hit',
  title: 'DRAM hit of 16 keys',
  async run(context): Promise<Result[]> {
    using scratch = new Scratch(context, 'dram');
    const { segmentBytes } = context;
    await using node = await ServedNode.start({ scratch, arenaBytes: GIB, segmentBytes });
    const dataset = new Dataset({ blockBytes: 64 * KIB, count: BLOCKS, chainBlocks: KEYS, seed: 1 });
    await putAll(node, dataset, true);
    const namespace = await node.store.namespace(dataset.fingerprint());
    const packed = dataset.permuted(permutation(BLOCKS, 1));
    const ping = async (cores: 'two' | 'any'): Promise<Sample> => {
      const job = { count: REQUESTS, request: 64, reply: 64, cores };
      const { p50Us, p99Us } = await context.native('socket_ping', job);
      return { value: Number(p50Us), p50Us: Number(p50Us), p99Us: Number(p99Us) };
    };
    const { ours, two, free, any } = await inTurn(context.rounds, {
      two: () => ping('two'),
      ours: () => onTwoCores(node.pid, () => roundTrips(namespace, packed)),
      any: () => ping('any'),
      free: () => roundTrips(namespace, packed),
    });
    const row = {
      name: 'dram-hit/16',
      unit: 'us',
      against: 'C Unix-socket ping between two cores, p50',
      note: 'ours on two cores as well',
    };
    const left = {
      name: 'dram-hit/16/any-core',
      unit: 'us',
      against: 'the same ping; both left to the scheduler',
    };
    return [compared({ ...row, target: '<= 1.6' }, ours, two), compared({ ...left, target: '' }, free, any)];
  },
};

async function roundTrips(namespace: BlockNamespace, packed: Uint8Array): Promise<Sample> {
  const latenciesUs: number[] = [];
  const warmUp = REQUESTS / 10;
  for (let i = 0; i < REQUESTS + warmUp; i++) {
    const from = ((i * KEYS) % BLOCKS) * KEY_BYTES;
    const keys = packed.subarray(from, from + KEYS * KEY_BYTES);
    const began = performance.now();
    const answer = await namespace.getMany(keys, { deadlineMs: BULK_DEADLINE_MS });
    const took = performance.now() - began;
    if (answer.hits !== KEYS) throw new Error(`${answer.hits} of ${KEYS} keys hit DRAM`);
    answer.release();
    if (i >= warmUp) latenciesUs.push(took * 1000);
  }
  const p50Us = percentile(latenciesUs, 0.5);
  return { value: p50Us, p50Us, p99Us: percentile(latenciesUs, 0.99) };
}
