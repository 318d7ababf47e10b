import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { checkDirectory } from '../doctor/directory.ts';
import { check, type Finding } from '../doctor/finding.ts';
import { checkMemory } from '../doctor/memory.ts';
import { checkMount } from '../doctor/mount.ts';
import { EXIT, ExitError } from '../exit-codes.ts';
import { addConfigFlags, configOf } from '../options.ts';
import { createProgress } from '../output/progress.ts';
import { systemClock } from '../system-clock.ts';

const HELP = `
The directory is made when it is not there; what the checks write lies in one directory of their own, removed at the end.

Examples:
  refill doctor --root /mnt/shared/refill
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
    .option('--progress', 'show a progress bar even when standard error is no terminal')
    .option('--json', 'one JSON object: root, findings, failures, warnings')
    .addHelpText('after', HELP)
    .action(doctor);
  return addConfigFlags(command, ['root']);
}

async function doctor(options: Record<string, unknown>): Promise<void> {
  const { config } = configOf(options);
  const progress = createProgress('doctor', { clock: systemClock, force: options.progress === true });
  await mkdir(config.root, { recursive: true });
  const scratch = await mkdtemp(join(config.root, '.doctor-'));
  const checks: [string, () => Promise<Finding[]>][] = [
    ['mount', () => checkMount(config.root)],
    ['directory', () => checkDirectory(scratch, systemClock)],
    ['memory', () => checkMemory()],
  ];
  const findings: Finding[] = [];
  try {
    for (const [name, run] of checks) {
      progress.update(findings.length, undefined, name);
      findings.push(...(await check(name, run)));
    }
  } finally {
    progress.end();
    await rm(scratch, { recursive: true, force: true });
  }
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
