import type { Command } from 'commander';
import { FIELD_NAMES } from '../config/fields.ts';
import { addConfigFlags, configOf } from '../options.ts';
import { createProgress } from '../output/progress.ts';
import { count } from '../output/table.ts';
import { systemClock } from '../system-clock.ts';

const HELP = `
The metadata is a cache of the segments: this drops it and makes it anew from them alone. No block is lost, no deleted
block comes back. It refuses to run while a node serves the root (exit code 1, ERR_NODE_IDENTITY_TAKEN).

Examples:
  refill rebuild --root /mnt/shared/refill
  refill rebuild --config /etc/refill.yaml --json`;

export function addRebuild(program: Command): Command {
  const command = program
    .command('rebuild')
    .description('Makes the metadata anew from the segments alone.')
    .option('--progress', 'show a progress bar even when standard error is no terminal')
    .option(
      '--json',
      'one JSON object: segments, blocks, blocksRestored, torn, skipped, gaps, skippedBytes, durationMs, blocksPerSecond',
    )
    .addHelpText('after', HELP)
    .action(rebuild);
  return addConfigFlags(command, FIELD_NAMES);
}

async function rebuild(options: Record<string, unknown>): Promise<void> {
  const { config } = configOf(options);
  const { rebuildRoot } = await import('../rebuild.ts');
  const progress = createProgress('rebuild', { clock: systemClock, force: options.progress === true });
  const report = await rebuildRoot(config, ({ segments, segmentsTotal, blocks }) =>
    progress.update(
      segments,
      segmentsTotal,
      `${segments} of ${segmentsTotal} segments, ${count(blocks)} blocks`,
    ),
  ).finally(() => progress.end());
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  const seconds = (report.durationMs / 1000).toFixed(2);
  process.stdout.write(
    `rebuilt ${count(report.blocksRestored)} blocks from ${count(report.segments)} segments in ${seconds} s ` +
      `(${count(report.blocksPerSecond)} blocks/s); ${count(report.torn)} torn, ${count(report.gaps)} damaged places passed over, ${count(report.skipped)} files skipped\n`,
  );
}
