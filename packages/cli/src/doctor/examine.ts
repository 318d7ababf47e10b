import { mkdtemp, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { BlockIO } from '@refill/interface';
import { createBlockIO } from '@refill/native-io';
import type { Config } from '../config/fields.ts';
import { makeFolder } from '../make-folder.ts';
import type { Progress } from '../output/progress.ts';
import { systemClock } from '../system-clock.ts';
import { checkDirectory } from './directory.ts';
import { describeEngine } from './engine.ts';
import { check, type Finding } from './finding.ts';
import { checkLocks } from './flock.ts';
import { checkMemory } from './memory.ts';
import { checkMount } from './mount.ts';
import { twoMountFinding, writeHereReadThere } from './two-mounts.ts';

/** Enough to see which pages the machine gives. */
const ARENA_BYTES = 64 * 1024 * 1024;

export interface ExamineOptions {
  /** The same directory over another mount. */
  second: string | undefined;
  rounds: number;
  engine: Config['engine'];
  direct: Config['direct'];
  progress: Progress;
}

/** Runs every check on a directory, in a scratch directory of its own inside that is removed at the end. */
export async function examine(root: string, options: ExamineOptions): Promise<Finding[]> {
  await makeFolder(root);
  const scratch = await mkdtemp(join(root, '.doctor-'));
  const findings: Finding[] = [];
  const run = async (name: string, work: () => Promise<Finding[] | Finding>): Promise<void> => {
    options.progress.update(findings.length, undefined, name);
    findings.push(...(await check(name, work)));
  };
  try {
    await run('mount', () => checkMount(root));
    await run('directory', () => checkDirectory(scratch, systemClock));
    await run('engine', () =>
      withEngine(scratch, options, async (io) => [
        ...describeEngine(io.report),
        await secondHolder(io, scratch, options),
      ]),
    );
    await run('memory', () => checkMemory());
    if (options.second !== undefined)
      await run('two mounts', () => twoMounts(scratch, options.second!, options));
    return findings;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function withEngine<T>(
  root: string,
  { engine, direct }: Pick<ExamineOptions, 'engine' | 'direct'>,
  use: (io: BlockIO) => Promise<T>,
): Promise<T> {
  const io = await createBlockIO({
    root,
    arenaBytes: ARENA_BYTES,
    engine,
    direct,
    lanes: { read: 1, write: 1 },
  });
  try {
    return await use(io);
  } finally {
    await io.stop();
  }
}

function secondHolder(io: BlockIO, scratch: string, options: ExamineOptions): Promise<Finding> {
  return withEngine(scratch, options, (other) => checkLocks(io, other, 'on one mount'));
}

/** The scratch directory must be seen over the other mount; then each writes what the other reads. */
async function twoMounts(scratch: string, second: string, options: ExamineOptions): Promise<Finding[]> {
  const other = join(second, basename(scratch));
  if ((await stat(other).catch(() => undefined)) === undefined) {
    return [
      {
        name: 'two mounts',
        level: 'fail',
        found: `${other} is not there: ${second} is not the same directory, or sees new entries late`,
      },
    ];
  }
  return await withEngine(scratch, options, (first) =>
    withEngine(other, options, async (io) => {
      const counted = (from: number) => ({
        rounds: options.rounds,
        clock: systemClock,
        onProgress: (rounds: number) =>
          options.progress.update(from + rounds, 2 * options.rounds, 'blocks over two mounts'),
      });
      return [
        twoMountFinding('first to second', await writeHereReadThere(first, io, counted(0))),
        twoMountFinding('second to first', await writeHereReadThere(io, first, counted(options.rounds))),
        await checkLocks(first, io, 'over the two mounts'),
      ];
    }),
  );
}
