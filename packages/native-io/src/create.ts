import { constants } from 'node:os';
import type { IoReport } from '@refill/interface';
import { RefillError } from '@refill/interface';
import type { ArenaParts, NativeBlockIO } from './block-io.ts';
import { errnoName } from './errors.ts';
import { runJob } from './jobs.ts';
import { native } from './native.ts';
import type { BlockIOOptions, ResolvedOptions } from './options.ts';
import { PAGES_BY, resolveOptions } from './options.ts';

const READ_THREADS = 8;
const WRITE_THREADS = 4;
const ALIGNMENT_SOURCES = ['statx', 'probe', 'assumed'] as const;

const ENGINE_HINTS: ReadonlyMap<number, string> = new Map([
  [constants.errno.EPERM, ' (a container runtime filters it)'],
  [constants.errno.ENOMEM, ' (RLIMIT_MEMLOCK is too low for the rings: raise it, see ulimit -l)'],
]);

type EngineChoice = Pick<IoReport, 'engine' | 'engineReason' | 'kernelFlags'>;

function chooseEngine(wanted: ResolvedOptions['engine'], workers: number): EngineChoice {
  if (wanted === 'threads')
    return { engine: 'threads', engineReason: 'asked for by options', kernelFlags: [] };
  // Twice as many as will be used: the kernel takes its time to free those of the probe.
  const [refusal, ...kernelFlags] = native.probeUring(2 * workers);
  const errno = Number(refusal);
  if (errno === 0) return { engine: 'io_uring', engineReason: undefined, kernelFlags };
  const hint = ENGINE_HINTS.get(errno) ?? '';
  const engineReason = `io_uring_setup failed: ${errnoName(errno)}${hint}`;
  if (wanted === 'io_uring') throw new RefillError('ERR_PLATFORM', engineReason, { errno });
  return { engine: 'threads', engineReason, kernelFlags: [] };
}

type DirectChoice = Pick<IoReport, 'direct' | 'directReason' | 'alignmentBytes' | 'alignmentSource'>;

function chooseDirect(wanted: ResolvedOptions['direct'], probed: number[]): DirectChoice {
  const [, granted, errno, alignmentBytes, source] = probed as [number, number, number, number, number];
  const found = { alignmentBytes, alignmentSource: ALIGNMENT_SOURCES[source]! };
  if (wanted === 'off') return { direct: false, directReason: 'asked for by options', ...found };
  if (granted === 1) return { direct: true, directReason: undefined, ...found };
  const directReason = `O_DIRECT was refused: ${errnoName(errno)}`;
  if (wanted === 'on') throw new RefillError('ERR_STORAGE_FAILED', directReason, { errno });
  return { direct: false, directReason, ...found };
}

/** An arena of its own, or that of the owner that was named. */
async function makeArena(instance: number, options: ResolvedOptions): Promise<ArenaParts> {
  const { arenaOf, arenaBytes, pagesUpTo, startDeadlineMs: deadlineMs } = options;
  if (arenaOf !== undefined) {
    if (!native.shareArena(instance, arenaOf.instance))
      throw new RefillError('ERR_NODE_CLOSED', 'the engine whose arena was to be shared is stopped');
    const { arenaPageBytes, arenaPagesBy, arenaBytes } = arenaOf.report;
    return { panes: arenaOf.panes, fd: -1, report: { arenaPageBytes, arenaPagesBy, arenaBytes } };
  }
  const start = () => native.createArena(instance, arenaBytes, pagesUpTo);
  const made = await runJob<number[]>('making the arena', start, { deadlineMs });
  const [id, pageBytes, pagesBy, bytes, fd] = made as [number, number, number, number, number];
  const report = { arenaPageBytes: pageBytes, arenaPagesBy: PAGES_BY[pagesBy]!, arenaBytes: bytes };
  return { id, fd, report };
}

/**
 * Probes the root, makes the arena, starts the workers. The result is ready for use; `stop` ends it. Fails with
 * `ERR_STORAGE_FAILED` when the root is no directory, `ERR_PLATFORM` when the addon or a demanded engine is missing.
 *
 * @example
 * const io = await createBlockIO({ root: './refill-data', arenaBytes: 64 * 1024 * 1024 });
 * const file = await io.open('segments/one', { create: true, write: true, direct: true, sizeBytes: 2 ** 20 });
 * const batch = createIoBatch(2);
 * pushIo(batch, IO_OP.write, 0, file, 0, 0, 0, 65_536);
 * pushIo(batch, IO_OP.sync, 0, file, 0, 0, 0, 0);
 * await io.submit(batch, { lane: 'write', deadlineMs: 5_000 });
 */
export async function createBlockIO(options: BlockIOOptions): Promise<NativeBlockIO> {
  const resolved = resolveOptions(options);
  const step = { deadlineMs: resolved.startDeadlineMs };
  const choice = chooseEngine(resolved.engine, resolved.readWorkers + resolved.writeWorkers);
  const probed = await runJob<number[]>(
    `opening ${resolved.root}`,
    () => native.openInstance(resolved.root, resolved.direct !== 'off'),
    step,
  );
  const instance = probed[0]!;
  try {
    const direct = chooseDirect(resolved.direct, probed);
    const arena = await makeArena(instance, resolved);
    if (choice.engine === 'threads') native.useThreads(instance, READ_THREADS, WRITE_THREADS);
    const { fdSocketPath } = resolved;
    if (fdSocketPath !== undefined) {
      await runJob(`listening on ${fdSocketPath}`, () => native.startFdServer(instance, fdSocketPath), step);
    }
    const report: IoReport = {
      ...choice,
      ...direct,
      ...arena.report,
      checksumBy: native.checksumLevels().at(-1)!,
    };
    // What starts workers is not loaded for a client, which only maps memory.
    const { NativeBlockIO } = await import('./block-io.ts');
    const io = new NativeBlockIO({ instance, arena, report, options: resolved });
    await io.start();
    return io;
  } catch (error) {
    native.closeInstance(instance);
    throw error;
  }
}
