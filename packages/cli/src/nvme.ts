import type { Logger } from '@libp2p/interface';
import { type BlockIO, type Directory, RefillError } from '@refill/interface';
import { createBlockIO, type NativeBlockIO } from '@refill/native-io';
import { type Arena, createNvmeTier, type NvmeTier } from '@refill/store';
import type { Config } from './config/fields.ts';
import { makeFolder } from './make-folder.ts';
import { systemChance, systemClock } from './system-clock.ts';
import type { Unwind } from './unwind.ts';

/**
 * `nvme.json` in the directory says whose it is: `{ format, clusterId, node, epoch }`. The epoch counts the starts of
 * the node on it: every file is of one start.
 */
const MARKER = 'nvme.json';
const FORMAT = 1;
const MARKER_BYTES_MAX = 4096;
const LOCK = 'lock';
/** What may lie in a directory that is new to us: file systems make it by themselves. */
const NOT_OURS: ReadonlySet<string> = new Set(['lost+found', LOCK]);

/** What a disk does, not people. */
const DISK_ERRORS: ReadonlySet<string> = new Set(['ERR_STORAGE_FAILED', 'ERR_STORAGE_FULL', 'ERR_DEADLINE']);

interface Marker {
  clusterId: string;
  node: string;
  epoch: number;
}

export interface OpenNvmeParts {
  clusterId: string;
  /** The node's engine, whose arena is used. */
  io: NativeBlockIO;
  arena: Arena;
  directory: Directory;
  log: Logger;
}

/**
 * The local disk of the configuration, `undefined` where it names none. A directory that is not this node's is refused:
 * `ERR_CONFIG`, and `ERR_NODE_IDENTITY_TAKEN` while another process uses it. A disk that fails is not: the node then
 * starts without it, and says so.
 */
export async function openNvme(
  config: Config,
  parts: OpenNvmeParts,
  unwind: Unwind,
): Promise<NvmeTier | undefined> {
  const { nvme: path, node } = config;
  if (path === undefined) return undefined;
  const { clusterId, arena, directory, log } = parts;
  let io: NativeBlockIO | undefined;
  try {
    await makeDirectory(path);
    io = await createBlockIO({
      ...{ root: path, arenaOf: parts.io, engine: config.engine, direct: config.direct },
      lanes: { read: config.readLanes, write: config.writeLanes },
    });
    const marker = await takeDirectory(io, path, { clusterId, node });
    const capacityBytes = config.nvmeCapacityBytes ?? (await io.statfs()).totalBytes / 2;
    const engine = io;
    unwind.push('engine of the local disk', () => engine.stop());
    return createNvmeTier(
      { io, directory, scratch: arena.scratch, clock: systemClock, chance: systemChance, log },
      { node, epoch: marker.epoch, capacityBytes, isWriteThrough: config.nvmeMode === 'write-through' },
    );
  } catch (error) {
    await io?.stop();
    if (isMisuse(error)) throw error;
    log.error('nvme is %s, which is not used: %s', path, (error as Error).message);
    return undefined;
  }
}

/** Takes the directory for this process, until `io` stops, and counts the start. */
async function takeDirectory(
  io: BlockIO,
  path: string,
  { clusterId, node }: { clusterId: string; node: string },
): Promise<Marker> {
  if (!(await io.lock(LOCK))) {
    throw new RefillError('ERR_NODE_IDENTITY_TAKEN', `nvme is ${path}, which another process uses`, {
      fix: 'Give each node a directory of its own: --nvme',
    });
  }
  const bytes = await io.readFile(MARKER, { maxBytes: MARKER_BYTES_MAX });
  if (bytes === undefined) {
    const foreign = (await io.list('.')).filter((name) => !NOT_OURS.has(name));
    if (foreign.length > 0) throw notOurs(path, `has no ${MARKER} and is not empty (${foreign[0]})`);
  }
  const before = bytes === undefined ? { clusterId, node, epoch: 0 } : parseMarker(path, bytes);
  if (before.clusterId !== clusterId) throw notOurs(path, `is of another cluster, ${before.clusterId}`);
  if (before.node !== node) throw notOurs(path, `is of another node, ${before.node}`);
  const marker = { clusterId, node, epoch: before.epoch + 1 };
  await io.writeFile(
    MARKER,
    new TextEncoder().encode(`${JSON.stringify({ format: FORMAT, ...marker }, null, 2)}\n`),
  );
  return marker;
}

function parseMarker(path: string, bytes: Uint8Array): Marker {
  let marker: Partial<Record<string, unknown>>;
  try {
    marker = Object(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    throw notOurs(path, `has a damaged ${MARKER}`);
  }
  const { format, clusterId, node, epoch } = marker;
  if (format !== FORMAT) throw notOurs(path, `has format ${String(format)}, this version knows ${FORMAT}`);
  if (typeof clusterId !== 'string' || typeof node !== 'string' || !Number.isSafeInteger(epoch))
    throw notOurs(path, `has a damaged ${MARKER}`);
  return { clusterId, node, epoch: epoch as number };
}

function notOurs(path: string, why: string): RefillError {
  return new RefillError('ERR_CONFIG', `nvme is ${path}, which ${why}`, {
    fix: 'Empty it, which loses copies only, or give --nvme another directory',
  });
}

/** Whether people are to mend it: errors of the disk are not theirs. */
function isMisuse(error: unknown): boolean {
  return !(error instanceof RefillError && DISK_ERRORS.has(error.code));
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await makeFolder(path, 0o700);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (['EIO', 'ENOSPC', 'EDQUOT', 'EROFS'].includes(code ?? ''))
      throw new RefillError('ERR_STORAGE_FAILED', message, { cause: error });
    throw new RefillError('ERR_CONFIG', `nvme is ${path}, which cannot be made (${code})`, {
      cause: error,
      fix: 'Give --nvme a directory that the user of the node can make or write',
    });
  }
}
