import type { BlockStore, Clock, Durability } from '@refill/interface';
import { BusyTime } from './busy-time.ts';
import { IdealCache } from './ideal.ts';
import { TraceKeys } from './keys.ts';
import { type Counts, openReplayNamespace, type RequestContext, runRequest } from './request.ts';
import {
  perSecond,
  type ReplayResult,
  readAmplification,
  runsBetween,
  scaleOf,
  tierBetween,
} from './result.ts';
import type { Router } from './router.ts';
import type { Trace, TraceRequest } from './trace.ts';

/** Blocks held at once are bounded by this share of the arena, over all requests that run at a time. */
const ARENA_SHARE = 1 / 4;
const PIECE_BYTES_MAX = 64 * 1024 * 1024;

export interface ReplayOptions {
  /** Bytes of one block; or, by tokens, `bytesPerToken`. */
  blockBytes?: number | undefined;
  bytesPerToken?: number | undefined;
  /** Requests under way at a time. Requests of one ordered trace never overlap. */
  concurrency: number;
  /** Stops after so many requests. */
  limit?: number | undefined;
  durability: Durability;
  deadlineMs: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((requests: number, total: number | undefined, bytes: number) => void) | undefined;
}

/** Size of a block unless asked for: the arena's granule, so that nothing of it is lost to rounding. */
export const REPLAY_BLOCK_BYTES_DEFAULT: number = 64 * 1024;

export interface ReplayParts {
  /** The nodes; each request goes to one of them. */
  stores: readonly BlockStore[];
  clock: Clock;
  /** Needed for more than one node. */
  router?: Router | undefined;
}

/** One node and what it is doing. */
interface Target {
  name: string;
  activeBlocks: number;
  requests: number;
}

/**
 * Replays traces against a store as an engine would: of every request it finds the longest prefix that is there,
 * reads and verifies it byte by byte, computes (makes up) the rest and puts it. Nothing is timed by the traces'
 * clocks: requests follow one another as fast as they are served. Of several nodes the router chooses one a request.
 */
export async function replay(
  { stores, clock, router }: ReplayParts,
  traces: readonly Trace[],
  options: ReplayOptions,
): Promise<ReplayResult> {
  const call = { deadlineMs: options.deadlineMs };
  const before = await Promise.all(stores.map((store) => store.status(call)));
  const targets: Target[] = before.map(({ nodeName }) => ({ name: nodeName, activeBlocks: 0, requests: 0 }));
  if (stores.length === 0 || (stores.length > 1 && router === undefined)) {
    throw new TypeError(`a replay through ${stores.length} nodes needs a router`);
  }
  const counts: Counts = {
    requests: 0,
    blocksHit: 0,
    prefixes: 0,
    bytesRead: 0,
    bytesWritten: 0,
    mismatches: 0,
    mismatchSamples: [],
    promisedMisses: 0,
    puts: { stored: 0, exists: 0, noRoom: 0, failed: 0, late: 0 },
  };
  const ideal = new IdealCache();
  const reading = new BusyTime(clock);
  const writing = new BusyTime(clock);
  const keysOfScope = new Map<string, TraceKeys>();
  const contexts = new Map<string, RequestContext>();
  const arenaBytes = Math.min(...before.map(({ arena }) => arena.bytes));
  const pieceBytes = Math.min(PIECE_BYTES_MAX, (arenaBytes * ARENA_SHARE) / options.concurrency);

  const contextOf = async (trace: Trace, target: number): Promise<RequestContext> => {
    const key = `${target} ${trace.scope} ${trace.tokensPerBlock}`;
    const known = contexts.get(key);
    if (known !== undefined) return known;
    const blockBytes = blockBytesOf(trace.tokensPerBlock, options);
    const keys = keysOfScope.get(trace.scope) ?? new TraceKeys(trace.scope);
    keysOfScope.set(trace.scope, keys);
    const store = stores[target]!;
    const context: RequestContext = {
      store,
      keys,
      blockBytes,
      reading,
      writing,
      counts,
      namespace: await openReplayNamespace(store, trace.tokensPerBlock, blockBytes),
      pieceBlocks: Math.max(1, Math.floor(pieceBytes / blockBytes)),
      durability: options.durability,
      call: { deadlineMs: options.deadlineMs, ...(options.signal ? { signal: options.signal } : {}) },
    };
    contexts.set(key, context);
    return context;
  };

  const startedMs = clock.nowMs();
  const total = totalRequests(traces, options.limit);
  let begun = 0;
  let failed: { error: unknown } | undefined;
  const choose = (
    atNodes: readonly RequestContext[],
    hashIds: readonly number[],
  ): number | Promise<number> => {
    if (router === undefined) return 0;
    const keys = hashIds.map((id) => atNodes[0]!.keys.key(id));
    const nodes = targets.map((target, i) => ({ ...target, namespace: atNodes[i]!.namespace }));
    return router.choose(nodes, keys);
  };
  const serve = async (atNodes: readonly RequestContext[], hashIds: readonly number[]): Promise<void> => {
    const chosen = await choose(atNodes, hashIds);
    const target = targets[chosen]!;
    target.requests++;
    target.activeBlocks += hashIds.length;
    try {
      await runRequest(atNodes[chosen]!, hashIds);
    } finally {
      target.activeBlocks -= hashIds.length;
    }
  };
  const drain = async (trace: Trace, requests: AsyncIterator<TraceRequest>): Promise<void> => {
    const atNodes = await Promise.all(stores.map((_, target) => contextOf(trace, target)));
    while (failed === undefined && begun < (options.limit ?? Number.POSITIVE_INFINITY)) {
      options.signal?.throwIfAborted();
      begun++;
      const next = await requests.next();
      if (next.done === true) {
        begun--;
        return;
      }
      ideal.add(trace.scope, next.value.hashIds);
      await serve(atNodes, next.value.hashIds);
      options.onProgress?.(counts.requests, total, counts.bytesRead + counts.bytesWritten);
    }
  };
  // An ordered trace belongs to the worker that takes it first; of any other, every worker takes the next request.
  const sources = traces.map((trace) => ({ trace, requests: iterate(trace.requests), taken: false }));
  const worker = async (): Promise<void> => {
    try {
      for (const source of sources) {
        if (source.trace.ordered && source.taken) continue;
        source.taken = true;
        await drain(source.trace, source.requests);
      }
    } catch (error) {
      failed ??= { error };
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  await Promise.all(sources.map(({ requests }) => requests.return(undefined)));
  if (failed !== undefined) throw (failed as { error: unknown }).error;

  const flushStartedMs = clock.nowMs();
  await Promise.all(stores.map((store) => store.flush(call)));
  const flushMs = clock.nowMs() - flushStartedMs;
  const durationMs = clock.nowMs() - startedMs;
  const after = await Promise.all(stores.map((store) => store.status(call)));
  const first = after[0]!;
  const tokens = [...new Set(traces.map((trace) => trace.tokensPerBlock))];
  return {
    requests: counts.requests,
    blocksReferenced: ideal.blocksReferenced,
    blocksHit: counts.blocksHit,
    hitRate: ideal.blocksReferenced === 0 ? 0 : counts.blocksHit / ideal.blocksReferenced,
    idealHitRate: ideal.hitRate,
    bytesRead: counts.bytesRead,
    bytesWritten: counts.bytesWritten,
    mismatches: counts.mismatches,
    mismatchSamples: counts.mismatchSamples,
    readAmplification: readAmplification(before, after),
    readsPerPrefix: counts.prefixes === 0 ? 0 : runsBetween(before, after) / counts.prefixes,
    readBytesPerSecond: perSecond(counts.bytesRead, reading.ms),
    writeBytesPerSecond: perSecond(counts.bytesWritten, writing.ms + flushMs),
    tiers: {
      dram: tierBetween(before, after, 'dram', reading.ms),
      ...(after.some(({ tiers }) => tiers.nvme) && { nvme: tierBetween(before, after, 'nvme', reading.ms) }),
      peer: tierBetween(before, after, 'peer', reading.ms),
      shared: tierBetween(before, after, 'shared', reading.ms),
    },
    puts: counts.puts,
    promisedMisses: counts.promisedMisses,
    durationMs,
    flushMs,
    concurrency: options.concurrency,
    durability: options.durability,
    scale: tokens.map((tokensPerBlock) => scaleOf(tokensPerBlock, blockBytesOf(tokensPerBlock, options))),
    node: {
      name: first.nodeName,
      engine: first.io.engine,
      direct: first.io.direct,
      arenaBytes: first.arena.bytes,
      arenaPageBytes: first.io.arenaPageBytes,
    },
    ...(router && {
      cluster: {
        routing: router.name,
        nodes: targets.map(({ name, requests }) => ({ name, requests })),
      },
    }),
  };
}

function blockBytesOf(tokensPerBlock: number, options: ReplayOptions): number {
  if (options.bytesPerToken !== undefined)
    return Math.max(1, Math.round(options.bytesPerToken * tokensPerBlock));
  return options.blockBytes ?? REPLAY_BLOCK_BYTES_DEFAULT;
}

function totalRequests(traces: readonly Trace[], limit: number | undefined): number | undefined {
  let total = 0;
  for (const { requestCount } of traces) {
    if (requestCount === undefined) return limit;
    total += requestCount;
  }
  return Math.min(total, limit ?? total);
}

/** An async generator queues concurrent calls of `next`, so several workers may share one. */
async function* iterate<T>(items: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
  yield* items;
}
