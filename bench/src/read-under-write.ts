import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BlockNamespace, KEY_BYTES } from '@refill/interface';
import { BackgroundWriter } from './background-writer.ts';
import { compared } from './compare.ts';
import { permutation } from './dataset.ts';
import { inTurn, percentile, type Sample } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import type { ServedNode } from './served-node.ts';
import { BULK_DEADLINE_MS, StoredSet } from './stored-set.ts';
import { KIB, MIB } from './units.ts';

const BLOCK_BYTES = 64 * KIB;
const KEYS = 4;
const WINDOW_MS = 1500;
/** The writer's backlog must stand before it is measured. */
const SETTLE_MS = 300;

/** Cold reads of four blocks while another process keeps write-behind busy, against the same reads alone. */
export const readUnderWrite: Scenario = {
  name: 'read-under-write',
  title: 'Reads while write-behind runs',
  async run(context: BenchContext): Promise<Result[]> {
    const count = Math.floor(context.workingSetBytes / BLOCK_BYTES);
    const both: Sample[] = [];
    const lanes = await inTurn(context.rounds, {
      // A fresh set each round: write-behind fills the disk, so its root goes when its round ends.
      async idle(round): Promise<Sample> {
        using set = await StoredSet.create(context, 'mixed', {
          blockBytes: BLOCK_BYTES,
          count,
          chainBlocks: 256,
        });
        const keys = set.dataset.permuted(permutation(count, round));
        const fingerprint = set.dataset.fingerprint();
        const reads = async (node: ServedNode): Promise<Sample> =>
          await readFor(await node.store.namespace(fingerprint), keys);
        let idle: Sample;
        {
          await using node = await set.serve();
          idle = await reads(node);
        }
        await using node = await set.serve({ arenaBytes: 2 * context.coldArenaBytes });
        await using _writer = await BackgroundWriter.start(node, round);
        await sleep(SETTLE_MS);
        const before = await written(node);
        const began = performance.now();
        const busy = await reads(node);
        const seconds = (performance.now() - began) / 1000;
        both.push({ ...busy, value: ((await written(node)) - before) / 1e9 / seconds });
        return { ...idle, value: idle.p50Us! };
      },
      async writeCeiling(round): Promise<Sample> {
        using set = await StoredSet.create(context, 'ceiling', { blockBytes: MIB, count: 1, chainBlocks: 1 });
        await using node = await set.serve({ arenaBytes: 2 * context.coldArenaBytes });
        await using _writer = await BackgroundWriter.start(node, round);
        await sleep(SETTLE_MS);
        const before = await written(node);
        const began = performance.now();
        await sleep(WINDOW_MS);
        return { value: ((await written(node)) - before) / 1e9 / ((performance.now() - began) / 1000) };
      },
    });
    const latencies = both.map((sample) => ({ ...sample, value: sample.p50Us! }));
    return [
      compared(
        {
          name: 'read-under-write/p50',
          unit: 'us',
          against: 'the same reads idle, p50',
          target: '<= 2',
          note: `${KEYS} random cold blocks of 64 KiB a request, one request at a time`,
        },
        latencies,
        lanes.idle,
      ),
      compared(
        { name: 'read-under-write/writes', unit: 'GB/s', against: 'write-behind alone', target: '>= 0.5' },
        both,
        lanes.writeCeiling,
      ),
    ];
  },
};

async function written(node: ServedNode): Promise<number> {
  return (await node.store.status({ deadlineMs: BULK_DEADLINE_MS })).writes.bytes;
}

/** Reads for the length of the window, never a block twice; value is left to the caller. */
async function readFor(namespace: BlockNamespace, packed: Uint8Array): Promise<Sample> {
  const latenciesUs: number[] = [];
  const until = performance.now() + WINDOW_MS;
  for (let from = 0; from < packed.length && performance.now() < until; from += KEYS * KEY_BYTES) {
    const began = performance.now();
    const answer = await namespace.getMany(packed.subarray(from, from + KEYS * KEY_BYTES), {
      deadlineMs: BULK_DEADLINE_MS,
    });
    latenciesUs.push((performance.now() - began) * 1000);
    answer.release();
  }
  return { value: Number.NaN, p50Us: percentile(latenciesUs, 0.5), p99Us: percentile(latenciesUs, 0.99) };
}
