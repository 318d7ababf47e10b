import type { ClusterStatus, NodeStatus, NvmeStatus, ReadSource } from '@refill/interface';
import type { Command } from 'commander';
import { formatSize } from '../config/size.ts';
import { connectToNode } from '../connect.ts';
import { addConfigFlags, CLIENT_FIELDS, configOf } from '../options.ts';
import { count, duration, percent, table } from '../output/table.ts';

const HELP = `
Examples:
  refill status --root /mnt/shared/refill
  refill status --json | jq .arena.usedBytes

Exit code 3 when no node answers.`;

export function addStatus(program: Command): Command {
  const command = program
    .command('status')
    .description('What the node of this machine holds and has done.')
    .option('--json', 'one JSON object, as the SDK gives it')
    .addHelpText('after', HELP)
    .action(async (options: Record<string, unknown>) => {
      await using store = await connectToNode(configOf(options).config);
      const status = await store.status();
      process.stdout.write(`${options.json === true ? JSON.stringify(status) : statusTable(status)}\n`);
    });
  return addConfigFlags(command, CLIENT_FIELDS);
}

function sourceText({ loads, bytes, latencyMs, bytesPerMs, failures, suspendedMs }: ReadSource): string {
  const left = suspendedMs > 0 ? `, left alone for ${duration(suspendedMs * 1000)}` : '';
  return `${formatSize(bytes)} in ${count(loads)} loads, ${formatSize(Math.round(bytesPerMs * 1000))}/s after ${duration(latencyMs * 1000)}, ${count(failures)} failures${left}`;
}

function nvmeText(nvme: NvmeStatus, hits: string): string {
  const state = nvme.state === 'open' ? '' : `${nvme.state}${nvme.reason ? ` (${nvme.reason})` : ''}; `;
  const lost = nvme.corrupt > 0 ? `, ${count(nvme.corrupt)} corrupt` : '';
  return `${state}${hits}; ${formatSize(nvme.usedBytes)} of ${formatSize(nvme.capacityBytes)} used, ${count(nvme.blocks)} blocks, ${formatSize(nvme.bytesWritten)} written, ${count(nvme.dropped)} left out, ${count(nvme.writeFailures)} write failures${lost}`;
}

function clusterRows(cluster: ClusterStatus | undefined): [string, string][] {
  if (cluster === undefined) return [];
  const { lease, members, service } = cluster;
  return [
    [
      'metadata service',
      service === 'away'
        ? 'AWAY: reads go on from what this node knows, writes wait until it is back'
        : 'serving',
    ],
    ['lease', `epoch ${lease.epoch}, ${lease.isHeld ? 'held' : 'not held: this node writes nothing now'}`],
    ...members.map(({ node, state, epoch, peer, dataAddress }): [string, string] => [
      `member ${node}`,
      `${state}, epoch ${epoch}, ${dataAddress}, ${peer}`,
    ]),
  ];
}

function hintRows({ hints, drain }: NodeStatus): [string, string][] {
  const { pinned, withLife, expired, placed, offered, unplaced, held, holdsAsked } = hints;
  const rows: [string, string][] = [];
  if (drain !== undefined) {
    rows.push([
      'leaving',
      `${drain.phase}, ${formatSize(drain.backlogBytes)} to be stored, ${count(drain.heldBlocks)} of ${count(drain.hotBlocks)} hot blocks held by others`,
    ]);
  }
  if (pinned + withLife + expired + offered + unplaced > 0) {
    rows.push([
      'hints',
      `${count(pinned)} pinned, ${count(withLife)} with a life, ${count(expired)} expired, ${count(placed)} of ${count(offered + unplaced)} copies placed`,
    ]);
  }
  if (holdsAsked > 0) rows.push(['held for others', `${count(held)} of ${count(holdsAsked)} blocks`]);
  return rows;
}

function statusTable(status: NodeStatus): string {
  const { io, arena, tiers, reads, writes, directory } = status;
  const tier = ({ hits, bytes, latency }: NodeStatus['tiers']['dram']): string =>
    hits === 0
      ? 'no hit'
      : `${count(hits)} hits, ${formatSize(bytes)}, p50 ${duration(latency.p50Us)}, p99 ${duration(latency.p99Us)}`;
  const amplification = reads.payloadBytes > 0 ? (reads.deviceBytes / reads.payloadBytes).toFixed(2) : '-';
  const reason = (text: string | undefined): string => (text === undefined ? '' : ` (${text})`);
  return table(
    [
      [
        'node',
        `${status.nodeName}, version ${status.version}, epoch ${status.epoch}, up ${duration(status.uptimeMs * 1000)}, ${count(status.sessions)} sessions`,
      ],
      ['root', `${status.root}, cluster ${status.clusterId}`],
      [
        'engine',
        `${io.engine}${reason(io.engineReason)}, ${io.direct ? `O_DIRECT by ${formatSize(io.alignmentBytes)}` : `buffered${reason(io.directReason)}`}, checksums by ${io.checksumBy}`,
      ],
      [
        'arena',
        `${formatSize(arena.usedBytes)} of ${formatSize(arena.bytes)} used (${percent(arena.bytes > 0 ? arena.usedBytes / arena.bytes : 0)}), ${count(arena.blocks)} blocks, ${formatSize(arena.pinnedBytes)} pinned, ${count(arena.evictions)} evictions, ${formatSize(io.arenaPageBytes)} pages by ${io.arenaPagesBy}`,
      ],
      ['dram', tier(tiers.dram)],
      ...(tiers.nvme === undefined ? [] : [['nvme', nvmeText(tiers.nvme, tier(tiers.nvme))]]),
      ['peer', tier(tiers.peer)],
      ['shared', tier(tiers.shared)],
      ...status.sources.map((source): [string, string] => [`source ${source.name}`, sourceText(source)]),
      ...clusterRows(status.cluster),
      ...hintRows(status),
      [
        'reads',
        `${count(reads.keys)} keys, ${count(reads.misses)} misses, ${count(reads.late)} late, ${count(reads.corrupt)} corrupt, ${count(reads.singleFlightJoins)} joined`,
      ],
      [
        'read amplification',
        `${amplification} (${formatSize(reads.deviceBytes)} in ${count(reads.runs)} runs)`,
      ],
      [
        'writes',
        `${count(writes.blocks)} blocks, ${formatSize(writes.bytes)} in ${count(writes.batches)} batches and ${count(writes.syncs)} syncs, ${formatSize(writes.backlogBytes)} behind`,
      ],
      ['write failures', `${count(writes.failures)}, ${count(writes.segmentsAbandoned)} segments abandoned`],
      [
        'index',
        `${count(directory.blocks)} blocks, ${formatSize(directory.bytes)} in ${count(directory.segments)} segments and ${count(directory.namespaces)} namespaces, ${directory.engine}, ${formatSize(directory.indexBytes)} of memory`,
      ],
      ...(arena.quarantinedBytes > 0 || io.timeouts > 0
        ? [
            [
              'trouble',
              `${count(io.timeouts)} I/O timeouts, ${formatSize(arena.quarantinedBytes)} quarantined`,
            ],
          ]
        : []),
    ],
    '',
  );
}
