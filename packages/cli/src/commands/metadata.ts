import { writeMemberCard } from '@refill/control';
import { createMetadataService } from '@refill/metadata';
import type { Command } from 'commander';
import { SERVICE_CARD } from '../cluster/find-service.ts';
import { openControl } from '../cluster/open-control.ts';
import type { FieldName } from '../config/fields.ts';
import { createLog } from '../log.ts';
import { addConfigFlags, configOf } from '../options.ts';
import { openParts } from '../parts.ts';
import { recoverRoot } from '../recover.ts';
import { untilStopped } from '../stop-signal.ts';
import { systemChance, systemClock } from '../system-clock.ts';
import { Unwind } from '../unwind.ts';

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
/** Scratch for headers and footers of a rebuild; no block is read into memory. */
const ARENA_BYTES = 128 * 1024 * 1024;

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
      const log = createLog('refill', { level: config.logLevel, clock: systemClock });
      const unwind = new Unwind(log);
      try {
        const opened = await openParts(
          { ...config, metadata: 'embedded', arenaBytes: ARENA_BYTES },
          log,
          unwind,
        );
        await recoverRoot(config, opened, log);
        const { root, paths, io, directory } = opened;
        const { identity, control } = await openControl(config, root.clusterId, paths);
        const parts = {
          directory,
          control,
          clock: systemClock,
          chance: systemChance,
          log: log.newScope('metadata'),
        };
        const service = createMetadataService(parts);
        await service.start();
        unwind.push('metadata service', () => service.stop());
        await control.start();
        unwind.push('control network', () => control.stop());
        const card = { cluster: root.clusterId, node: SERVICE_CARD, control: control.self, dataAddress: '' };
        await writeMemberCard(io, identity, { ...card, sinceMs: systemClock.wallMs() });
        const { peer, addresses } = control.self;
        const address = `${addresses[0]?.split('/p2p/')[0]}/p2p/${peer}`;
        process.stdout.write(
          options.json === true
            ? `${JSON.stringify({ root: root.path, clusterId: root.clusterId, address })}\n`
            : `refill: ready: metadata of ${root.path} on ${address}\n`,
        );
        await untilStopped();
      } finally {
        await unwind.run();
      }
    });
  return addConfigFlags(command, FIELDS);
}
