import { formatSize } from '../config/size.ts';
import { count, duration, percent, table } from '../output/table.ts';
import type { ReplayResult, ReplayTier } from './result.ts';

/** The result as a table for people. */
export function replayTable(result: ReplayResult, title: string): string {
  const gb = (bytesPerSecond: number): string => `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`;
  const tier = ({ blocks, bytes, bytesPerSecond, p50Us, p99Us }: ReplayTier): string =>
    blocks === 0
      ? 'no block'
      : `${count(blocks)} blocks, ${formatSize(bytes)}, ${gb(bytesPerSecond)}, p50 ${duration(p50Us)}, p99 ${duration(p99Us)}`;
  const { puts, node } = result;
  const { cluster } = result;
  const troubles = (['noRoom', 'failed', 'late'] as const).filter((outcome) => puts[outcome] > 0);
  const rows: string[][] = [
    [
      'requests',
      `${count(result.requests)} in ${(result.durationMs / 1000).toFixed(1)} s, ${result.concurrency} at a time`,
    ],
    ['blocks referenced', count(result.blocksReferenced)],
    [
      'blocks hit',
      `${count(result.blocksHit)}, ${percent(result.hitRate)} (an infinite cache: ${percent(result.idealHitRate)})`,
    ],
    ['read and verified', `${formatSize(result.bytesRead)}, ${gb(result.readBytesPerSecond)}`],
    ['  from dram', tier(result.tiers.dram)],
    ...(result.tiers.nvme === undefined ? [] : [['  from nvme', tier(result.tiers.nvme)]]),
    ...(result.tiers.peer.blocks === 0 ? [] : [['  from peers', tier(result.tiers.peer)]]),
    ['  from shared', tier(result.tiers.shared)],
    ...(cluster
      ? [
          ['  by tier', sharesByTier(result)],
          [
            'routing',
            `${cluster.routing}: ${cluster.nodes.map(({ name, requests }) => `${name} ${count(requests)}`).join(', ')} requests`,
          ],
        ]
      : []),
    [
      'written',
      `${formatSize(result.bytesWritten)}, ${gb(result.writeBytesPerSecond)}, durability ${result.durability}`,
    ],
    ['read amplification', result.readAmplification === 0 ? '-' : result.readAmplification.toFixed(2)],
    ['reads a prefix', result.readsPerPrefix.toFixed(2)],
    [
      'mismatches',
      result.mismatches === 0
        ? '0: every byte read is the byte written'
        : `${count(result.mismatches)} BLOCKS ARE WRONG`,
    ],
    ['promised, not read', count(result.promisedMisses)],
    ...troubles.map((outcome) => [`puts ${outcome}`, count(puts[outcome])]),
    ...result.scale.map((scale) => [
      'scale',
      `${scale.tokensPerBlock} tokens a block of ${formatSize(scale.blockBytes)}: ${formatSize(scale.bytesPerToken)} a token, ` +
        `1/${count(1 / scale.ratio)} of ${scale.realModel} (${formatSize(scale.realBytesPerToken)})`,
    ]),
    [
      'node',
      `${node.name}, ${node.engine}${node.direct ? ' with O_DIRECT' : ', buffered'}, arena ${formatSize(node.arenaBytes)} in ${formatSize(node.arenaPageBytes)} pages`,
    ],
  ];
  const samples = result.mismatchSamples.map((sample) => `  wrong: ${sample}`);
  return [title, table(rows), ...samples].join('\n');
}

function sharesByTier({ tiers }: ReplayResult): string {
  const read = Object.entries(tiers).filter(([, tier]) => tier !== undefined && tier.bytes > 0);
  const total = read.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  return read.map(([name, { bytes }]) => `${percent(bytes / total)} ${name}`).join(', ') || '-';
}
