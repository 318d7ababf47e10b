import { type BlockNamespace, KEY_BYTES } from '@refill/interface';
import { CpuMeter } from './cpu-meter.ts';
import { Dataset, type DatasetShape, Payload, permutation } from './dataset.ts';
import { type ReadShape, readBlocks } from './read-blocks.ts';
import { percentile, type Sample } from './rounds.ts';
import type { BenchContext } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { sharedMemory } from './sdk.ts';
import { ServedNode, type ServeOptions } from './served-node.ts';
import { warmUp } from './warm-up.ts';
import { writeBlocks } from './write-blocks.ts';

const MIB = 1024 * 1024;
export const BULK_DEADLINE_MS = 120_000;
/** Bytes of the region that blocks are put from. */
const REGION_BYTES = 64 * MIB;

/** A sample of a timed piece of work that moved `bytes`. */
export function sampleOf(
  bytes: number,
  seconds: number,
  cpuSeconds: number,
  latenciesUs: readonly number[],
): Sample {
  return {
    value: bytes / 1e9 / seconds,
    cpuSecondsPerGigabyte: cpuSeconds / (bytes / 1e9),
    p50Us: percentile(latenciesUs, 0.5),
    p99Us: percentile(latenciesUs, 0.99),
  };
}

/** Kind of the arena's pages as the node found them. */
export async function arenaPages(node: ServedNode): Promise<string> {
  const { io } = await node.store.status({ deadlineMs: BULK_DEADLINE_MS });
  return io.arenaPagesBy === 'none' ? '4K' : io.arenaPagesBy;
}

/** Puts the whole data set through the SDK out of shared memory, durably; ours of every write row. */
export async function putAll(node: ServedNode, dataset: Dataset, verify?: true): Promise<Sample> {
  const { blockBytes } = dataset.shape;
  const memory = sharedMemory.create(Math.max(REGION_BYTES, blockBytes * 4));
  const region = await node.store.registerRegion({ fd: memory.fd }, memory.sizeBytes);
  try {
    const namespace = await node.store.namespace(dataset.fingerprint());
    const payload = new Payload(memory.panes[0]!, blockBytes);
    // 4 MiB a call or 16 blocks, whichever is more: bytes in flight saturate the disk, records share a sync.
    const inFlight = 4;
    const perCall = Math.min(payload.slots / inFlight, Math.max(16, (4 * MIB) / blockBytes), 256);
    const shape = { perCall, inFlight, durability: 'shared', deadlineMs: BULK_DEADLINE_MS } as const;
    const cpu = new CpuMeter([node.pid]);
    const { seconds, latenciesUs } = await writeBlocks(namespace, region, payload, dataset, shape);
    const sample = sampleOf(dataset.bytes, seconds, cpu.seconds(), latenciesUs);
    sample.pages = memory.pageBytes > 4096 ? '2M' : '4K';
    if (verify) await verifyAll(namespace, dataset, payload);
    return sample;
  } finally {
    await region.unregister();
    memory.free();
  }
}

async function verifyAll(namespace: BlockNamespace, dataset: Dataset, payload: Payload): Promise<void> {
  const keysPerRequest = Math.max(1, Math.min(16, (16 * MIB) / dataset.shape.blockBytes));
  const shape = { keysPerRequest, inFlight: 1, deadlineMs: BULK_DEADLINE_MS };
  await readBlocks(namespace, dataset.keys, shape, (index, bytes) => payload.verify(index, bytes));
}

/** Part of a set that is read before the clock starts: the disk's and the arena's own beginnings. */
const WARM_UP_PART = 1 / 4;

/**
 * Reads packed keys once each by a node that shall have none of them in DRAM, and says so when it had. The node's code
 * is warm; the first quarter is not timed.
 */
export async function readStored(
  node: ServedNode,
  dataset: Dataset,
  packedKeys: Uint8Array,
  shape: Omit<ReadShape, 'deadlineMs'>,
): Promise<Sample> {
  await warmUp(node);
  const namespace = await node.store.namespace(dataset.fingerprint());
  const whole = { ...shape, deadlineMs: BULK_DEADLINE_MS };
  const deviceBytes = async () =>
    (await node.store.status({ deadlineMs: BULK_DEADLINE_MS })).reads.deviceBytes;
  const before = await deviceBytes();
  const warmBlocks = Math.floor(dataset.shape.count * WARM_UP_PART);
  await readBlocks(namespace, packedKeys.subarray(0, warmBlocks * KEY_BYTES), whole);
  const cpu = new CpuMeter([node.pid]);
  const timed = packedKeys.subarray(warmBlocks * KEY_BYTES);
  const { seconds, latenciesUs } = await readBlocks(namespace, timed, whole);
  const cpuSeconds = cpu.seconds();
  const bytes = (dataset.shape.count - warmBlocks) * dataset.shape.blockBytes;
  // Reading ahead may turn a key into a DRAM hit; bytes that never came from the device may not.
  const read = (await deviceBytes()) - before;
  if (read < dataset.bytes * 0.99)
    throw new Error(`only ${read} of ${dataset.bytes} bytes came from the disk: not a cold read`);
  return { ...sampleOf(bytes, seconds, cpuSeconds, latenciesUs), pages: await arenaPages(node) };
}

/**
 * A data set on the shared tier and nodes that find none of it in DRAM: each read is by a fresh process. Every byte was
 * verified once after writing.
 */
export class StoredSet implements Disposable {
  readonly dataset: Dataset;
  readonly #scratch: Scratch;
  readonly #context: BenchContext;

  private constructor(context: BenchContext, scratch: Scratch, dataset: Dataset) {
    this.#context = context;
    this.#scratch = scratch;
    this.dataset = dataset;
  }

  static async create(
    context: BenchContext,
    name: string,
    shape: Omit<DatasetShape, 'seed'>,
  ): Promise<StoredSet> {
    const scratch = new Scratch(context, name);
    try {
      const set = new StoredSet(context, scratch, new Dataset({ ...shape, seed: 1 }));
      await using node = await set.serve();
      await putAll(node, set.dataset, true);
      return set;
    } catch (error) {
      scratch[Symbol.dispose]();
      throw error;
    }
  }

  async serve(options: Partial<ServeOptions> = {}): Promise<ServedNode> {
    return await ServedNode.start({
      scratch: this.#scratch,
      arenaBytes: this.#context.coldArenaBytes,
      segmentBytes: this.#context.segmentBytes,
      ...options,
    });
  }

  /** Reads every block once from the disk, in prompt order or at random. */
  async readCold(
    order: 'chain' | { seed: number },
    shape: Omit<ReadShape, 'deadlineMs'>,
    options: Partial<ServeOptions> = {},
  ): Promise<Sample> {
    const { dataset } = this;
    const keys =
      order === 'chain' ? dataset.keys : dataset.permuted(permutation(dataset.shape.count, order.seed));
    await using node = await this.serve(options);
    return await readStored(node, dataset, keys, shape);
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}
