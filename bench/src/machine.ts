import { readFileSync, statfsSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { runProgram } from './run-program.ts';

/** What a figure without a machine would hide. */
export interface Machine {
  cpu: string;
  cores: number;
  memory: string;
  kernel: string;
  fileSystem: string;
  node: string;
  gcc: string;
  fio: string;
  /** Settings that decide which pages memory gets. */
  pages: string;
}

/** How busy the machine was before a measurement: what else ran then disturbs it. */
export function loadText(): string {
  return `load ${loadavg()[0]!.toFixed(1)} on ${cpus().length} cores when it began`;
}

function firstLine(path: string): string {
  try {
    return readFileSync(path, 'utf8').split('\n')[0]!.trim();
  } catch {
    return 'unknown';
  }
}

async function version(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await runProgram(program, args)).split('\n')[0]!.trim();
  } catch {
    return 'not installed';
  }
}

/** Type, options and device of the mount that holds `dir`, and its free space. */
function fileSystemOf(dir: string): string {
  let best: { device: string; point: string; type: string; options: string } | undefined;
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [device = '', point = '', type = '', options = ''] = line.split(' ');
    const holds = point === '/' || dir === point || dir.startsWith(`${point}/`);
    if (point !== '' && holds && point.length >= (best?.point.length ?? 0))
      best = { device, point, type, options };
  }
  const { bavail, bsize } = statfsSync(dir);
  const free = `${((bavail * bsize) / 1e9).toFixed(0)} GB free`;
  return best === undefined
    ? `unknown, ${free}`
    : `${best.type} on ${best.device} (${best.options}), ${free}`;
}

export async function describeMachine(dir: string): Promise<Machine> {
  const pool = `nr_hugepages ${firstLine('/proc/sys/vm/nr_hugepages')}`;
  const thp = `THP ${firstLine('/sys/kernel/mm/transparent_hugepage/enabled')}`;
  const shmem = `shmem ${firstLine('/sys/kernel/mm/transparent_hugepage/shmem_enabled')}`;
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: release(),
    fileSystem: fileSystemOf(dir),
    node: process.version,
    gcc: await version('gcc', ['--version']),
    fio: await version('fio', ['--version']),
    pages: `${pool}; ${thp}; ${shmem}`,
  };
}
