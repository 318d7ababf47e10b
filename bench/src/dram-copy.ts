import { performance } from 'node:perf_hooks';
import { type BlockNamespace, KEY_BYTES, type Region, type SharedBuffer } from '@refill/interface';
import { absolute, compared } from './compare.ts';
import { CpuMeter } from './cpu-meter.ts';
import { Dataset } from './dataset.ts';
import { nativeSample } from './rivals.ts';
import { inTurn, type Sample } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { sharedMemory } from './sdk.ts';
import { ServedNode } from './served-node.ts';
import { BULK_DEADLINE_MS, putAll, sampleOf } from './stored-set.ts';
import { GIB, MIB } from './units.ts';

const BLOCK_BYTES = 4 * MIB;
const SOURCE_BYTES = 512 * MIB;
const COUNT: number = SOURCE_BYTES / BLOCK_BYTES;
const KEYS = 8;
const PASSES = 4;
/** Requests under way: a reader asks for the next group before it is done with this one, so that no round trip waits. */
const IN_FLIGHT = 2;

interface Reader {
  node: ServedNode;
  namespace: BlockNamespace;
  keys: Uint8Array;
  memory: SharedBuffer;
  region: Region;
}

/** Blocks of 4 MiB that are in DRAM, brought into the reader's own memory, against one thread's memcpy. */
export const dramCopy: Scenario = {
  name: 'dram-copy',
  title: 'DRAM hit of 4 MiB into the reader’s memory',
  async run(context: BenchContext): Promise<Result[]> {
    using scratch = new Scratch(context, 'copy');
    const { segmentBytes } = context;
    await using node = await ServedNode.start({ scratch, arenaBytes: GIB, segmentBytes });
    const dataset = new Dataset({ blockBytes: BLOCK_BYTES, count: COUNT, chainBlocks: KEYS, seed: 1 });
    await putAll(node, dataset, true);
    const namespace = await node.store.namespace(dataset.fingerprint());
    const memory = sharedMemory.create(SOURCE_BYTES);
    const region = await node.store.registerRegion({ fd: memory.fd }, memory.sizeBytes);
    const reader = { node, namespace, keys: dataset.keys, memory, region };
    const bytes = SOURCE_BYTES * PASSES;
    const lanes = await inTurn(context.rounds, {
      memcpy: async () =>
        nativeSample(
          await context.native('memcpy_bw', {
            block: BLOCK_BYTES,
            source: SOURCE_BYTES,
            target: SOURCE_BYTES,
            bytes,
          }),
        ),
      copy: () => timed(reader, copyFromViews, IN_FLIGHT),
      into: () => timed(reader, readInto, IN_FLIGHT),
      view: () => timed(reader, viewOnly, 1),
    });
    await region.unregister();
    memory.free();
    const row = {
      unit: 'GB/s',
      against: 'one-thread memcpy, 4 MiB',
      note: `${IN_FLIGHT} requests of ${KEYS} blocks under way`,
      target: '>= 0.95',
    };
    const viewUs = lanes.view.map((sample) => sample.p50Us!);
    return [
      compared({ ...row, name: 'dram-copy/4MiB/from-view' }, lanes.copy, lanes.memcpy),
      compared({ ...row, name: 'dram-copy/4MiB/into-region', target: '' }, lanes.into, lanes.memcpy),
      absolute(
        {
          name: 'dram-copy/4MiB/view',
          unit: 'us',
          target: '',
          note: `${KEYS} views of 4 MiB, no byte copied`,
        },
        viewUs.toSorted((a, b) => a - b)[viewUs.length >> 1]!,
        viewUs.length,
      ),
    ];
  },
};

/** Runs `read` for every group of keys, several passes over a source far above the processor's caches. */
async function timed(
  reader: Reader,
  read: (reader: Reader, packed: Uint8Array, first: number) => Promise<void>,
  inFlight: number,
): Promise<Sample> {
  const latenciesUs: number[] = [];
  const cpu = new CpuMeter([reader.node.pid]);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < COUNT * PASSES) {
      const first = next % COUNT;
      next += KEYS;
      const at = performance.now();
      await read(reader, reader.keys.subarray(first * KEY_BYTES, (first + KEYS) * KEY_BYTES), first);
      latenciesUs.push((performance.now() - at) * 1000);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, lane));
  const seconds = (performance.now() - began) / 1000;
  return sampleOf(SOURCE_BYTES * PASSES, seconds, cpu.seconds(), latenciesUs);
}

async function copyFromViews(
  { namespace, memory }: Reader,
  packed: Uint8Array,
  first: number,
): Promise<void> {
  const answer = await namespace.getMany(packed, { deadlineMs: BULK_DEADLINE_MS });
  for (let i = 0; i < KEYS; i++) memory.panes[0]!.set(answer.views[i]!.bytes, (first + i) * BLOCK_BYTES);
  answer.release();
}

async function readInto({ namespace, region }: Reader, packed: Uint8Array, first: number): Promise<void> {
  const places = Array.from({ length: KEYS }, (_, i) => ({
    offsetBytes: (first + i) * BLOCK_BYTES,
    lengthBytes: BLOCK_BYTES,
  }));
  const outcomes = await namespace.getInto(region, packed, places, { deadlineMs: BULK_DEADLINE_MS });
  const bad = outcomes.find((outcome) => typeof outcome === 'string');
  if (bad !== undefined) throw new Error(`a block that is in DRAM was not read: ${bad}`);
}

async function viewOnly({ namespace }: Reader, packed: Uint8Array): Promise<void> {
  const answer = await namespace.getMany(packed, { deadlineMs: BULK_DEADLINE_MS });
  if (answer.hits !== KEYS) throw new Error(`${answer.hits} of ${KEYS} keys hit DRAM`);
  answer.release();
}
