import { readFileSync, writeFileSync } from 'node:fs';
import type { Sample } from './rounds.ts';
import { runProgram } from './run-program.ts';
import { Unavailable } from './scenario.ts';

const HUGE_PAGES = '/proc/sys/vm/nr_hugepages';
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;
/** Deeper only adds latency: 64 MiB in flight is far beyond any device's bandwidth times its latency. */
const IN_FLIGHT_BYTES_MAX = 64 * 1024 * 1024;

export interface FioJob {
  file: string;
  bytes: number;
  blockBytes: number;
}

interface FioVariant {
  depth: number;
  memory: string;
}

/** Throws `Unavailable` with what to install when fio is not there. */
export async function requireFio(): Promise<void> {
  try {
    await runProgram('fio', ['--version']);
  } catch {
    throw new Unavailable('fio is missing: apt-get install fio');
  }
}

/** One sequential O_DIRECT read of the whole file by fio's io_uring engine. */
async function readOnce(job: FioJob, { depth, memory }: FioVariant): Promise<Sample> {
  const output = await runProgram('fio', [
    '--name=read',
    `--filename=${job.file}`,
    '--readonly',
    '--rw=read',
    '--direct=1',
    '--ioengine=io_uring',
    '--fixedbufs=1',
    '--registerfiles=1',
    `--bs=${job.blockBytes}`,
    `--size=${job.bytes}`,
    `--iodepth=${depth}`,
    `--iomem=${memory}`,
    '--output-format=json',
  ]);
  const [{ read, error, usr_cpu, sys_cpu }] = JSON.parse(output.slice(output.indexOf('{'))).jobs;
  if (error !== 0) throw new Error(`fio failed with error ${error}`);
  const microseconds = (rank: string): number => read.clat_ns.percentile[rank] / 1000;
  return {
    value: read.bw_bytes / 1e9,
    // fio rounds its CPU to ticks: good for the order of magnitude only.
    cpuSecondsPerGigabyte: (((usr_cpu + sys_cpu) / 100) * read.runtime) / 1000 / (job.bytes / 1e9),
    p50Us: microseconds('50.000000'),
    p99Us: microseconds('99.000000'),
    pages: memory === 'mmap' ? '4K' : 'hugetlb',
  };
}

/**
 * fio as the limit of reading: sweeps memory kinds and depths once, then reads with the best of them.
 * Huge pages are lent from the kernel's pool for the length of a call and given back, where this process may.
 */
export class FioLimit {
  readonly #job: FioJob;
  #best: FioVariant | undefined;
  #failure: unknown;

  constructor(job: FioJob) {
    this.#job = job;
  }

  /** Depth and memory in words, once swept. */
  get variant(): string {
    return this.#best === undefined ? 'not swept' : `depth ${this.#best.depth}, ${this.#best.memory}`;
  }

  async read(): Promise<Sample> {
    return await withHugePages(IN_FLIGHT_BYTES_MAX, async (lent) => {
      this.#best ??= await this.#sweep(lent);
      return await readOnce(this.#job, this.#best);
    });
  }

  async #sweep(lent: boolean): Promise<FioVariant> {
    let best: FioVariant | undefined;
    let bestValue = 0;
    for (const memory of lent ? ['mmaphuge'] : ['mmap']) {
      for (const depth of [1, 2, 4, 8, 16, 32]) {
        if (depth * this.#job.blockBytes > IN_FLIGHT_BYTES_MAX) continue;
        const value = await this.#tryVariant({ depth, memory });
        if (value > bestValue) {
          bestValue = value;
          best = { depth, memory };
        }
      }
    }
    if (best === undefined) throw new Error(`fio measured nothing: ${this.#failure}`);
    return best;
  }

  /** Bandwidth of one variant, 0 where fio cannot run it: others use the pool of huge pages too. */
  async #tryVariant(variant: FioVariant): Promise<number> {
    try {
      return (await readOnce(this.#job, variant)).value;
    } catch (error) {
      this.#failure = error;
      return 0;
    }
  }
}

/** Calls `work(true)` with `bytes` of 2 MiB pages free in the kernel's pool, `work(false)` where it gives none. */
async function withHugePages<T>(bytes: number, work: (lent: boolean) => Promise<T>): Promise<T> {
  const before = Number(readFileSync(HUGE_PAGES, 'utf8'));
  // Some more than the buffers: fio aligns and adds its own.
  const wanted = before + bytes / HUGE_PAGE_BYTES + 16;
  try {
    writeFileSync(HUGE_PAGES, String(wanted));
  } catch {
    return await work(false);
  }
  try {
    return await work(Number(readFileSync(HUGE_PAGES, 'utf8')) >= wanted);
  } finally {
    writeFileSync(HUGE_PAGES, String(before));
  }
}
