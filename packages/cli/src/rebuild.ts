import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@libp2p/interface';
import { createArena, findUnknownSegments, type RebuildProgress, rebuildDirectory } from '@refill/store';
import type { Config } from './config/fields.ts';
import { createLog } from './log.ts';
import { type OpenParts, openParts } from './parts.ts';
import { systemClock } from './system-clock.ts';
import { Unwind } from './unwind.ts';

/** Scratch for headers and footers; no block is read into memory. */
const ARENA_BYTES = 128 * 1024 * 1024;
/** In the node's state while a rebuild is under way: a directory that is only half made must not be served. */
const PENDING = 'rebuild.pending';

export interface RebuildReport extends RebuildProgress {
  durationMs: number;
  blocksPerSecond: number;
}

/**
 * Makes the metadata of a root anew from its segments. Rejects with `ERR_NODE_IDENTITY_TAKEN` while a node serves
 * it: the rebuild takes the same locks as a node.
 */
export async function rebuildRoot(
  config: Config,
  onProgress: (progress: RebuildProgress) => void,
): Promise<RebuildReport> {
  const log = createLog('refill', { level: config.logLevel, clock: systemClock });
  const unwind = new Unwind(log);
  try {
    return await rebuildWith(
      await openParts({ ...config, arenaBytes: ARENA_BYTES }, log, unwind),
      log,
      onProgress,
    );
  } finally {
    await unwind.run();
  }
}

/** As `rebuildRoot`, of parts that are open. A crash in between is noticed at the next start. */
export async function rebuildWith(
  { io, directory, paths }: OpenParts,
  log: Logger,
  onProgress: (progress: RebuildProgress) => void = () => {},
): Promise<RebuildReport> {
  const pending = join(paths.state, PENDING);
  await writeFile(pending, '', { flush: true });
  const startedMs = systemClock.nowMs();
  const parts = {
    io,
    directory,
    scratch: createArena(io).scratch,
    clock: systemClock,
    log: log.newScope('store'),
  };
  const progress = await rebuildDirectory(parts, { onProgress });
  await rm(pending, { force: true });
  const durationMs = systemClock.nowMs() - startedMs;
  const blocksPerSecond = durationMs > 0 ? Math.round((progress.blocks * 1000) / durationMs) : 0;
  return { ...progress, durationMs, blocksPerSecond };
}

/**
 * Whether the directory lacks what the segments hold: it was lost or set back, or a rebuild did not end. `namesSettleMs` as
 * of `findUnknownSegments`.
 */
export async function needsRebuild(
  { io, directory, paths }: OpenParts,
  options: { namesSettleMs: number },
): Promise<boolean> {
  if (existsSync(join(paths.state, PENDING))) return true;
  const parts = { io, directory, scratch: createArena(io).scratch, clock: systemClock };
  return (await findUnknownSegments(parts, options)).length > 0;
}
