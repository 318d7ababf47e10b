import type { NodeStatus, PutOutcome } from '@refill/interface';

/** KV bytes a token of Llama-3.1-8B in bf16: 32 layers x 8 heads x 128 x 2 (K, V) x 2 bytes. */
export const REAL_BYTES_PER_TOKEN: number = 32 * 8 * 128 * 2 * 2;
export const REAL_MODEL = 'Llama-3.1-8B';

export interface ReplayScale {
  tokensPerBlock: number;
  blockBytes: number;
  bytesPerToken: number;
  realModel: string;
  realBytesPerToken: number;
  /** Bytes moved for every byte that the real model would move. */
  ratio: number;
}

export interface ReplayTier {
  blocks: number;
  bytes: number;
  /** Bytes of the tier by the time in which reads were under way. */
  bytesPerSecond: number;
  /** As the node measured them since its start. */
  p50Us: number;
  p99Us: number;
}

/** What `refill replay --json` prints. */
export interface ReplayResult {
  requests: number;
  blocksReferenced: number;
  /** Blocks of hit prefixes that were read and verified. */
  blocksHit: number;
  hitRate: number;
  /** Hit rate of an infinite cache that starts empty; a root that is warm already may do better. */
  idealHitRate: number;
  bytesRead: number;
  bytesWritten: number;
  /** Blocks that were read and were not, byte by byte, what had been written. */
  mismatches: number;
  /** Where the first of them were: key, offset of the first page that differs. */
  mismatchSamples: string[];
  /** Bytes moved by the device for every payload byte asked of the shared tier; 0 when nothing was read from it. */
  readAmplification: number;
  /** Device reads for every request with a hit prefix. */
  readsPerPrefix: number;
  readBytesPerSecond: number;
  writeBytesPerSecond: number;
  /** Blocks read by where they came from; `nvme` where the node has a local disk. */
  tiers: { dram: ReplayTier; nvme?: ReplayTier | undefined; peer: ReplayTier; shared: ReplayTier };
  puts: Record<PutOutcome, number>;
  /** Blocks that `matchPrefix` promised and `getMany` did not bring: evicted between, late, no room. */
  promisedMisses: number;
  durationMs: number;
  /** Of which at the end, until everything was on the shared file system. */
  flushMs: number;
  concurrency: number;
  durability: string;
  scale: ReplayScale[];
  node: { name: string; engine: string; direct: boolean; arenaBytes: number; arenaPageBytes: number };
  /** Of a replay through several nodes: how requests were spread. */
  cluster?: { routing: string; nodes: { name: string; requests: number }[] };
}

export function scaleOf(tokensPerBlock: number, blockBytes: number): ReplayScale {
  const bytesPerToken = blockBytes / tokensPerBlock;
  return {
    tokensPerBlock,
    blockBytes,
    bytesPerToken,
    realModel: REAL_MODEL,
    realBytesPerToken: REAL_BYTES_PER_TOKEN,
    ratio: bytesPerToken / REAL_BYTES_PER_TOKEN,
  };
}

/** Difference of a figure between two looks at the nodes, over all of them. */
function between(
  before: readonly NodeStatus[],
  after: readonly NodeStatus[],
  of: (status: NodeStatus) => number,
): number {
  return after.reduce((sum, status, i) => sum + of(status) - of(before[i]!), 0);
}

/** What a tier did between two looks at the nodes. Percentiles of several nodes are those of the slowest. */
export function tierBetween(
  before: readonly NodeStatus[],
  after: readonly NodeStatus[],
  tier: 'dram' | 'nvme' | 'peer' | 'shared',
  readMs: number,
): ReplayTier {
  const bytes = between(before, after, ({ tiers }) => tiers[tier]?.bytes ?? 0);
  return {
    blocks: between(before, after, ({ tiers }) => tiers[tier]?.hits ?? 0),
    bytes,
    bytesPerSecond: perSecond(bytes, readMs),
    p50Us: Math.max(...after.map(({ tiers }) => tiers[tier]?.latency.p50Us ?? 0)),
    p99Us: Math.max(...after.map(({ tiers }) => tiers[tier]?.latency.p99Us ?? 0)),
  };
}

/** Device reads between two looks at the nodes. */
export function runsBetween(before: readonly NodeStatus[], after: readonly NodeStatus[]): number {
  return between(before, after, ({ reads }) => reads.runs);
}

export function perSecond(bytes: number, ms: number): number {
  return ms > 0 ? Math.round((bytes * 1000) / ms) : 0;
}

/** Device bytes for a payload byte between two looks at the nodes; 0 when nothing came from the shared tier. */
export function readAmplification(before: readonly NodeStatus[], after: readonly NodeStatus[]): number {
  const payloadBytes = between(before, after, ({ reads }) => reads.payloadBytes);
  return payloadBytes > 0 ? between(before, after, ({ reads }) => reads.deviceBytes) / payloadBytes : 0;
}
