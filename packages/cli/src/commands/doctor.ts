import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Finding } from '../doctor/finding.ts';
import { EXIT, ExitError } from '../exit-codes.ts';
import { addConfigFlags, configOf, wholeFlag } from '../options.ts';
import { createProgress } from '../output/progress.ts';
import { systemClock } from '../system-clock.ts';

const HELP = `
The directory is made when it is not there; what the checks write lies in one directory of their own, removed at the end.

Examples:
  refill doctor --root /mnt/shared/refill
  refill doctor --root /mnt/a/refill --second /mnt/b/refill
  refill doctor --root /mnt/a --json | jq '.findings[] | select(.level != "ok")'

Exit code 0 when Refill can work here (warnings included), 1 when a check failed.`;

export interface DoctorReport {
  root: string;
  findings: Finding[];
  failures: number;
  warnings: number;
}

export function addDoctor(program: Command): Command {
  const command = program
    .command('doctor')
    .description('Says what a directory and this machine can do, and what Refill will use and why.')
    .option(
      '--second <dir>',
      'the same directory by another mount: checks that what one writes the other reads',
    )
    .option(
      '--rounds <n>',
      'blocks to write through one mount and read through the other',
      wholeFlag(1, 1_000_000),
      2000,
    )
    .option('--progress', 'show a progress bar even when standard error is no terminal')
    .option('--json', 'one JSON object: root, findings, failures, warnings')
    .addHelpText('after', HELP)
    .action(doctor);
  return addConfigFlags(command, ['root', 'engine', 'direct']);
}

async function doctor(options: Record<string, unknown>): Promise<void> {
  const { config } = configOf(options);
  const { examine } = await import('../doctor/examine.ts');
  const progress = createProgress('doctor', { clock: systemClock, force: options.progress === true });
  const findings = await examine(config.root, {
    second: options.second === undefined ? undefined : resolve(options.second as string),
    rounds: options.rounds as number,
    engine: config.engine,
    direct: config.direct,
    progress,
  }).finally(() => progress.end());
  const failures = findings.filter(({ level }) => level === 'fail').length;
  const warnings = findings.filter(({ level }) => level === 'warn').length;
  const report: DoctorReport = { root: config.root, findings, failures, warnings };
  process.stdout.write(options.json === true ? `${JSON.stringify(report)}\n` : text(report));
  if (failures > 0)
    throw new ExitError(
      EXIT.failure,
      `${failures} checks failed: Refill cannot work safely on ${config.root}`,
    );
}

function text({ root, findings, failures, warnings }: DoctorReport): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.flatMap(({ name, level, found, advice }) => [
    `  ${level.padEnd(4)}  ${name.padEnd(width)}  ${found}`,
    ...(advice === undefined ? [] : [`${' '.repeat(width + 10)}${advice}`]),
  ]);
  const verdict =
    failures > 0 ? `${failures} failed` : warnings > 0 ? `works, ${warnings} warnings` : 'all good';
  return [root, ...lines, `  ${verdict}`, ''].join('\n');
}
