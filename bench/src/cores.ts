import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Cores this process may use, in order. */
function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
  });
}

/**
 * Runs `work` with this process on one core and process `pid` on another, as the rival's two sides are; left to itself
 * the scheduler may put both on one core, which is another measurement.
 */
export async function onTwoCores<T>(pid: number, work: () => Promise<T>): Promise<T> {
  const all = allowedCores();
  if (all.length < 2) return work();
  place(process.pid, [all[0]!]);
  place(pid, [all[1]!]);
  try {
    return await work();
  } finally {
    place(process.pid, all);
    place(pid, all);
  }
}

/** All threads of a process. */
function place(pid: number, cores: readonly number[]): void {
  const run = spawnSync('taskset', ['-a', '-c', '-p', cores.join(','), String(pid)], { encoding: 'utf8' });
  if (run.status !== 0)
    throw new Error(`taskset failed, install util-linux: ${run.error?.message ?? run.stderr}`);
}
