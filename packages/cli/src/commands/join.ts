import type { Command } from 'commander';
import type { JoinReport } from '../cluster/try-join.ts';
import type { FieldName } from '../config/fields.ts';
import { addConfigFlags, configOf, timeFlag } from '../options.ts';
import { table } from '../output/table.ts';

const FIELDS: readonly FieldName[] = [
  'root',
  'state',
  'node',
  'metadata',
  'listen',
  'dataPort',
  'secretFile',
  'allowPeers',
];

const HELP = `
How a node joins a cluster:
  1. It mounts the file system of the root, like every other node.
  2. It has the cluster's secret (--secret-file, a copy of the file that \`refill metadata\` was started with, mode 600), or its
     peer id is in --allow-peers of the others and theirs are in its own. The id is printed here.
  3. --listen names an address of it that the others reach (one port for control), --data-port a second port on the same
     address, for blocks; both must be open between the nodes. 0 takes any port.
  4. --metadata auto finds the metadata service by the card that it leaves in nodes/ of the root; an address of the form
     /ip4/10.0.0.5/tcp/7400/p2p/12D3KooW... names it.
  5. Its name (--node, default the host name) is its own.
This command goes that way and joins nothing: it says what would be used, or why the cluster would refuse.

Examples:
  refill join --root /mnt/shared/refill --secret-file /etc/refill.secret --listen 10.0.0.18:7400 --data-port 7401

Exit code 0 when a node could join so, 1 when it would be refused, 2 when something is missing.`;

export function addJoin(program: Command): Command {
  const command = program
    .command('join')
    .description('Tries whether a node could join a cluster, and says how it is done.')
    .option('--timeout <time>', 'how long the metadata service may take', timeFlag(1, 600_000), 10_000)
    .option('--json', 'one JSON object: root, clusterId, node, peer, addresses, service, members, command')
    .addHelpText('after', HELP)
    .action(async (options: Record<string, unknown>) => {
      const { config } = configOf(options);
      // libp2p takes half a second of CPU to load: not for a help text.
      const { tryJoin } = await import('../cluster/try-join.ts');
      // A node with metadata of its own joins nobody: the default is the one that others use.
      const metadata = config.metadata === 'embedded' ? 'auto' : config.metadata;
      const report = await tryJoin({ ...config, metadata }, options.timeout as number);
      process.stdout.write(`${options.json === true ? JSON.stringify(report) : textOf(report)}\n`);
    });
  return addConfigFlags(command, FIELDS);
}

function textOf(report: JoinReport): string {
  const { root, clusterId, node, peer, addresses, service, members, command } = report;
  const others = members.map((member) => `${member.node} (${member.state})`).join(', ');
  const rows: [string, string][] = [
    ['root', `${root}, cluster ${clusterId}`],
    ['node', node],
    ['peer id', peer],
    ['listens on', addresses.join(' ')],
    ['metadata', `${service.addresses[0] ?? '-'}, ${service.peer}: lets this node in`],
    ['members', others === '' ? 'none yet' : others],
    ['join by', command],
  ];
  return table(rows, '');
}
