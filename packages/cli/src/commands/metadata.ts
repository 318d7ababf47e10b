import type { Command } from 'commander';
import { SERVICE_CARD } from '../cluster/roles.ts';
import type { FieldName } from '../config/fields.ts';
import { addConfigFlags, configOf } from '../options.ts';
import { untilStopped } from '../stop-signal.ts';

const FIELDS: readonly FieldName[] = [
  'root',
  'state',
  'node',
  'listen',
  'secretFile',
  'allowPeers',
  'indexMemoryBytes',
  'logLevel',
];

const HELP = `
Nodes join it by \`refill serve --root ... --metadata auto --secret-file ...\`, which finds it by the card that it leaves in
nodes/ of the root, or by the address that it prints. Restarting it costs no block and no node a restart.

Examples:
  refill metadata --root /mnt/shared/refill --listen 10.0.0.5:7400 --secret-file /etc/refill.secret`;

export function addMetadata(program: Command): Command {
  const command = program
    .command('metadata')
    .description('Runs the metadata service of a cluster alone, in the foreground.')
    .option('--json', 'the ready line as one JSON object: root, clusterId, address')
    .addHelpText('after', HELP)
    .action(async (options: Record<string, unknown>) => {
      // Its name is its own: a node of this machine has the host's.
      const { config } = configOf({ node: SERVICE_CARD, listen: '127.0.0.1:0', ...options });
      // libp2p takes half a second of CPU to load: not for a help text.
      const { serveMetadata } = await import('../cluster/serve-metadata.ts');
      const { root, clusterId, address, stop } = await serveMetadata(config);
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify({ root, clusterId, address })}\n`
          : `refill: ready: metadata of ${root} on ${address}\n`,
      );
      await untilStopped();
      await stop();
    });
  return addConfigFlags(command, FIELDS);
}
