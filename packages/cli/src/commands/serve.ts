import type { IoReport } from '@refill/interface';
import type { Command } from 'commander';
import { FIELD_NAMES } from '../config/fields.ts';
import { formatSize } from '../config/size.ts';
import type { RunningNode } from '../node.ts';
import { addConfigFlags, configOf } from '../options.ts';
import { untilStopped } from '../stop-signal.ts';

const HELP = `
Prints one line on standard output when clients can connect, logs on standard error, runs in the foreground.
SIGTERM and SIGINT stop it, and so does \`refill drain\`, after which nothing is lost: clients are told, write-behind is drained within --drain-ms; a second signal ends it at once.

Examples:
  refill serve --root /mnt/shared/refill
  refill serve --config /etc/refill.yaml --arena-bytes 64GiB

As a systemd service:
  [Service]
  ExecStart=/usr/bin/refill serve --config /etc/refill.yaml
  TimeoutStopSec=60
  LimitMEMLOCK=infinity`;

export function addServe(program: Command): Command {
  const command = program
    .command('serve')
    .description('Runs one store node in the foreground.')
    .option('--json', 'the ready line as one JSON object: node, root, socket, clusterId, io')
    .addHelpText('after', HELP)
    .action(async (options: Record<string, unknown>) => {
      const { config } = configOf(options);
      const { startConfigured } = await import('../node.ts');
      const node = await startConfigured(config);
      process.stdout.write(`${options.json === true ? readyJson(node) : readyLine(node)}\n`);
      // Somebody may drain it instead, which ends it as well.
      await Promise.race([untilStopped(), node.drained]);
      await node.stop();
    });
  return addConfigFlags(command, FIELD_NAMES);
}

function readyJson({ nodeName, root, socketPath, clusterId, io }: RunningNode): string {
  return JSON.stringify({ node: nodeName, root, socket: socketPath, clusterId, io });
}

/** One line: where clients connect, and which engine and pages are used and why. */
export function readyLine({ nodeName, root, socketPath, io }: RunningNode): string {
  return `refill: ready: node ${nodeName} serves ${root} on ${socketPath}; ${describeIo(io)}`;
}

export function describeIo(io: IoReport): string {
  const why = (reason: string | undefined): string => (reason === undefined ? '' : ` (${reason})`);
  const direct = io.direct
    ? `O_DIRECT by ${formatSize(io.alignmentBytes)}`
    : `buffered${why(io.directReason)}`;
  const pages = `${formatSize(io.arenaPageBytes)} pages${io.arenaPagesBy === 'none' ? ' (no larger ones to be had)' : ` by ${io.arenaPagesBy}`}`;
  return `${io.engine}${why(io.engineReason)}, ${direct}, arena ${formatSize(io.arenaBytes)} in ${pages}, checksums by ${io.checksumBy}`;
}
