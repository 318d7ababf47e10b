import { once } from 'node:events';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BlockNamespace, keyOf } from '@refill/interface';
import { BenchCluster } from './bench-cluster.ts';
import { absolute } from './compare.ts';
import { Dataset } from './dataset.ts';
import { readBlocks } from './read-blocks.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import type { ServedNode } from './served-node.ts';
import { BULK_DEADLINE_MS, putAll } from './stored-set.ts';
import { KIB, MIB } from './units.ts';

const BLOCK_BYTES = 256 * KIB;
const ARENA_BYTES = 64 * MIB;
/** Four times the arena: most reads go beyond the node's own memory. */
const BLOCKS = 1024;
const KEYS_PER_READ = 4;
/** How long the service is away, and how long the load goes on before and after. */
const AWAY_MS = 5000;
const CALM_MS = 3000;
const WRITE_DEADLINE_MS = 30_000;

/** The metadata service dies, or stands still, under reads and writes: no read fails and hits go on. */
export const failover: Scenario = {
  name: 'failover',
  title: 'The metadata service away under load',
  async run(context: BenchContext): Promise<Result[]> {
    return [...(await oneFailure(context, 'killed')), ...(await oneFailure(context, 'stopped'))];
  },
};

async function oneFailure(context: BenchContext, how: 'killed' | 'stopped'): Promise<Result[]> {
  using scratch = new Scratch(context, 'failover');
  const places = Array.from({ length: 2 }, () => ({ root: join(scratch.dir, 'root') }));
  const sizes = { arenaBytes: ARENA_BYTES, segmentBytes: context.segmentBytes };
  await using cluster = await BenchCluster.start({ scratch, places, ...sizes });
  const [a, b] = cluster.nodes as [ServedNode, ServedNode];
  const dataset = new Dataset({ blockBytes: BLOCK_BYTES, count: BLOCKS, chainBlocks: BLOCKS, seed: 1 });
  await putAll(a, dataset);
  const atB = await b.store.namespace(dataset.fingerprint());
  // B has read everything once, so it knows where it is; its memory holds a quarter.
  const shape = { keysPerRequest: KEYS_PER_READ, inFlight: 2, deadlineMs: BULK_DEADLINE_MS };
  await readBlocks(atB, dataset.keys, shape);

  const reading = new Load(() => readSome(atB, dataset));
  const writing = new Load(writer(await a.store.namespace(dataset.fingerprint())));
  await sleep(CALM_MS);
  const awayAtMs = performance.now();
  if (how === 'stopped') cluster.service.kill('SIGSTOP');
  else {
    const exit = once(cluster.service, 'exit');
    cluster.service.kill('SIGKILL');
    await exit;
  }
  await sleep(AWAY_MS);
  if (how === 'stopped') cluster.service.kill('SIGCONT');
  else await cluster.startService();
  const backAtMs = performance.now();
  await sleep(CALM_MS);
  await writing.until(backAtMs, WRITE_DEADLINE_MS);
  await Promise.all([reading.stop(), writing.stop()]);

  const name = `failover/${how}`;
  const note = `away for ${Math.round(backAtMs - awayAtMs)} ms; ${reading.calls} reads of ${KEYS_PER_READ} blocks`;
  const ms = { unit: 'ms', target: '' };
  const hits = reading.good / (reading.calls * KEYS_PER_READ);
  return [
    absolute({ name: `${name}/read-errors`, unit: 'reads', target: '<= 0', note }, reading.errors, 1),
    absolute({ name: `${name}/hits`, unit: 'of keys', target: '>= 1' }, hits, 1),
    absolute({ ...ms, name: `${name}/longest-gap/reads` }, reading.longestGapMs, 1),
    absolute(
      { ...ms, name: `${name}/longest-gap/writes`, note: `${writing.errors} writes failed meanwhile` },
      writing.longestGapMs,
      1,
    ),
    absolute(
      { ...ms, name: `${name}/first-write`, note: 'after the service is there again' },
      writing.firstAfter(backAtMs) - backAtMs,
      1,
    ),
  ];
}

/** One call after another; what is counted is what went right, and the longest time without. */
class Load {
  calls = 0;
  /** Blocks read or stored. */
  good = 0;
  errors = 0;
  longestGapMs = 0;
  readonly #goodAtMs: number[] = [];
  #lastMs: number = performance.now();
  #isOpen = true;
  readonly #running: Promise<void>;

  /** `work` answers how many blocks went right. */
  constructor(work: () => Promise<number>) {
    this.#running = this.#run(work);
  }

  /** When the first block after a time went right. */
  firstAfter(atMs: number): number {
    return this.#goodAtMs.find((one) => one > atMs) ?? Number.NaN;
  }

  /** Settles when something went right after that time, or at the deadline. */
  async until(atMs: number, deadlineMs: number): Promise<void> {
    const endsAtMs = performance.now() + deadlineMs;
    while (Number.isNaN(this.firstAfter(atMs)) && performance.now() < endsAtMs) await sleep(20);
  }

  async stop(): Promise<void> {
    this.#isOpen = false;
    await this.#running;
  }

  async #run(work: () => Promise<number>): Promise<void> {
    while (this.#isOpen) {
      let blocks = 0;
      try {
        blocks = await work();
      } catch {
        this.errors++;
        // A refusal at once is not to be asked for as fast as it comes.
        await sleep(10);
      }
      this.calls++;
      if (blocks === 0) continue;
      const nowMs = performance.now();
      this.good += blocks;
      this.#gap(nowMs);
      this.#goodAtMs.push(nowMs);
    }
    // What never came back is a gap too.
    this.#gap(performance.now());
  }

  #gap(nowMs: number): void {
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }
}

async function readSome(namespace: BlockNamespace, dataset: Dataset): Promise<number> {
  const first = Math.floor(Math.random() * (BLOCKS - KEYS_PER_READ));
  const keys = Array.from({ length: KEYS_PER_READ }, (_, i) => dataset.key(first + i));
  using answer = await namespace.getMany(keys, { deadlineMs: BULK_DEADLINE_MS });
  return answer.hits;
}

/** Puts new blocks one by one; a late one is no error and no block. */
function writer(namespace: BlockNamespace): () => Promise<number> {
  const bytes = new Uint8Array(64 * KIB).fill(1);
  let next = 0;
  return async () => {
    const block = { key: keyOf(`failover/${next++}`), bytes };
    const [outcome] = await namespace.putMany([block], {
      durability: 'shared',
      deadlineMs: WRITE_DEADLINE_MS,
    });
    return outcome === 'stored' ? 1 : 0;
  };
}
