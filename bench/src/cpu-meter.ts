import { readdirSync, readFileSync } from 'node:fs';

/** Nanoseconds on a CPU of every thread of a process, by thread id; empty for a process that is gone. */
function threadTimes(pid: number): Map<string, number> {
  const times = new Map<string, number>();
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return times;
  }
  for (const thread of threads) {
    try {
      const [running] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
      times.set(`${pid}/${thread}`, Number(running));
    } catch {
      // The thread ended between the listing and the reading.
    }
  }
  return times;
}

/** The process and all that it started, directly or not. */
export function processTree(root: number): number[] {
  const tree = [root];
  for (let i = 0; i < tree.length; i++) {
    const pid = tree[i]!;
    let threads: string[] = [];
    try {
      threads = readdirSync(`/proc/${pid}/task`);
    } catch {
      continue;
    }
    for (const thread of threads) {
      try {
        const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ');
        tree.push(...children.filter((child) => child.trim() !== '').map(Number));
      } catch {
        // As above.
      }
    }
  }
  return tree;
}

/**
 * CPU seconds (user and system, the kernel's io_uring threads included) that this process and the trees of `roots`
 * use from creation to `seconds()`. By `schedstat`, since the ticks of `/proc/<pid>/stat` are 10 ms, more than many
 * rounds use. A thread that ends in between is lost, one that starts in between is counted whole.
 */
export class CpuMeter {
  readonly #roots: readonly number[];
  readonly #before: Map<string, number>;
  readonly #own: NodeJS.CpuUsage;

  constructor(roots: readonly number[]) {
    this.#roots = roots;
    this.#before = this.#read();
    this.#own = process.cpuUsage();
  }

  #read(): Map<string, number> {
    const all = new Map<string, number>();
    for (const root of this.#roots)
      for (const pid of processTree(root))
        for (const [thread, time] of threadTimes(pid)) all.set(thread, time);
    return all;
  }

  seconds(): number {
    const { user, system } = process.cpuUsage(this.#own);
    let nanoseconds = 0;
    for (const [thread, time] of this.#read()) nanoseconds += time - (this.#before.get(thread) ?? 0);
    return (user + system) / 1e6 + nanoseconds / 1e9;
  }
}
