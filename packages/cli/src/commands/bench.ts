import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { EXIT, ExitError } from '../exit-codes.ts';

const HARNESS = fileURLToPath(new URL('../../../../bench/dist/run.js', import.meta.url));

const HELP = `
Arguments go to the harness as they are; refill bench -- --help lists them.

Examples:
  refill bench --json
  refill bench cluster --trace trace.jsonl
  refill bench --dir /mnt/shared/bench --rounds 7`;

export function addBench(program: Command): Command {
  return program
    .command('bench [arguments...]')
    .description('Measures this machine against limits and rivals of the same run.')
    .allowUnknownOption()
    .addHelpText('after', HELP)
    .action(bench);
}

async function bench(args: string[]): Promise<void> {
  if (!existsSync(HARNESS)) {
    throw new ExitError(
      EXIT.failure,
      'the bench is not part of this installation. Run it in a clone of the project: npm run bench',
    );
  }
  const child = spawn(process.execPath, [HARNESS, ...args], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? EXIT.failure;
}
