import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { FIELD_NAMES } from '../config/fields.ts';
import { EXIT, ExitError } from '../exit-codes.ts';
import { addConfigFlags, configOf, wholeFlag } from '../options.ts';
import { untilStopped } from '../stop-signal.ts';
import { readyLine } from './serve.ts';

const BIN = fileURLToPath(new URL('../../bin/refill.js', import.meta.url));

/** Largest arena unless one was asked for. */
const ARENA_BYTES_MAX = 1024 * 1024 * 1024;

const HELP = `
Serves one node, by default on ./refill-data, and proves it: a second process connects through the SDK, replays a
made-up agentic workload and verifies every byte it reads; once more after a restart of the node, so that the segments
serve it. Then it keeps serving until stopped.

Examples:
  refill start
  refill start --once
  npm start -- --root /mnt/shared/refill --once`;

export function addStart(program: Command): Command {
  const command = program
    .command('start')
    .description('Serves one node and proves it by a verified replay from another process.')
    .option('--once', 'exit after the replay: 0 when all was well')
    .option('--seed <n>', 'seed of the workload', wholeFlag(0, 2 ** 32 - 1), 1)
    .option('--json', 'the results of the two replays as JSON objects, one a line')
    .addHelpText('after', HELP)
    .action(start);
  return addConfigFlags(command, FIELD_NAMES);
}

async function start(options: Record<string, unknown>): Promise<void> {
  const { config: configured, sources } = configOf(options);
  // The arena is taken whole at each of the two starts; a proof needs no more than this.
  const config =
    sources.arenaBytes === 'default'
      ? { ...configured, arenaBytes: Math.min(configured.arenaBytes, ARENA_BYTES_MAX) }
      : configured;
  const say = options.json === true ? process.stderr : process.stdout;
  const stopped = untilStopped();
  const { startConfigured } = await import('../node.ts');
  let node = await startConfigured(config);
  try {
    say.write(`${readyLine(node)}\n`);
    if (await replayFromOutside(node.socketPath, options, stopped)) return;
    // With its DRAM empty again the same requests are served by the segments.
    await node.stop();
    node = await startConfigured(config);
    say.write(
      '\nThe same again after a restart of the node: the first read of every block comes from the segments.\n',
    );
    if (await replayFromOutside(node.socketPath, options, stopped)) return;
    if (options.once === true) return;
    say.write(`\nServing until stopped (Ctrl-C). Try: npx refill status --socket ${node.socketPath}\n`);
    await Promise.race([stopped, node.drained]);
  } finally {
    await node.stop();
  }
}

/**
 * Replays in a process of its own, so that what is proven is what any client gets. Answers whether this one was asked
 * to stop meanwhile; throws an `ExitError` of the replay's code when it failed.
 */
async function replayFromOutside(
  socketPath: string,
  options: Record<string, unknown>,
  stopped: Promise<unknown>,
): Promise<boolean> {
  const args = ['replay', '--generate', '--seed', String(options.seed), '--target', socketPath];
  if (options.json === true) args.push('--json');
  const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  let asked = false;
  void stopped.then(() => {
    asked = true;
    child.kill('SIGTERM');
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== EXIT.ok && !asked)
    throw new ExitError(code ?? EXIT.failure, `the replay failed with exit code ${code}`);
  return asked;
}
