import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { passthroughProgram } from './build-native.ts';
import { compared } from './compare.ts';
import { FioLimit, requireFio } from './fio.ts';
import { LimitFile } from './rivals.ts';
import { inTurn } from './rounds.ts';
import { type BenchContext, type Result, type Scenario, Unavailable } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { StoredSet } from './stored-set.ts';
import { MIB } from './units.ts';

/** Cold reads on a FUSE mount of our own that only passes through, against the best that fio gets out of it. */
export const fuse: Scenario = {
  name: 'fuse',
  title: 'A FUSE mount',
  async run(context: BenchContext): Promise<Result[]> {
    await requireFio();
    using scratch = new Scratch(context, 'fuse');
    await using mount = await FuseMount.create(scratch.dir);
    const mounted: BenchContext = {
      ...context,
      dir: mount.point,
      workingSetBytes: Math.min(context.workingSetBytes, 512 * MIB),
    };
    using file = await LimitFile.create(mounted);
    const count = mounted.workingSetBytes / MIB;
    using set = await StoredSet.create(mounted, 'fuse', { blockBytes: MIB, count, chainBlocks: 64 });
    const fio = new FioLimit({ file: file.path, bytes: file.bytes, blockBytes: MIB });
    const { ours, theirs } = await inTurn(context.rounds, {
      theirs: () => fio.read(),
      ours: () => set.readCold('chain', { keysPerRequest: 16, inFlight: 2 }),
    });
    const row = {
      name: 'fuse/1MiB',
      unit: 'GB/s',
      against: 'fio io_uring O_DIRECT on the same mount',
      target: '>= 0.95',
      note: `fio at ${fio.variant}`,
    };
    return [compared(row, ours, theirs)];
  },
};

class FuseMount implements AsyncDisposable {
  readonly point: string;
  readonly #child: ChildProcess;

  private constructor(point: string, child: ChildProcess) {
    this.point = point;
    this.#child = child;
  }

  static async create(dir: string): Promise<FuseMount> {
    if (!existsSync('/dev/fuse')) throw new Unavailable('/dev/fuse is missing: modprobe fuse');
    const backing = join(dir, 'backing');
    const point = join(dir, 'mount');
    mkdirSync(backing);
    mkdirSync(point);
    const child = spawn(passthroughProgram(), ['--plain', '--die-with-parent', backing, point], {
      stdio: 'ignore',
    });
    const mount = new FuseMount(point, child);
    for (let i = 0; i < 500; i++) {
      if (readFileSync('/proc/self/mounts', 'utf8').includes(` ${point} `)) return mount;
      await sleep(10);
    }
    await mount[Symbol.asyncDispose]();
    throw new Unavailable('the passthrough file system did not mount');
  }

  /** The file system unmounts itself when it is told to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await exit;
  }
}
