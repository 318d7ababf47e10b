import { link, mkdir, open, readdir, readFile, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Chance, Clock } from '@refill/interface';
import { RefillError } from '@refill/interface';
import { makeFolder } from './make-folder.ts';

/**
 * `refill.json` in the root makes a directory a Refill root: `{ format, clusterId, created }`. Written once, by
 * whoever comes first, and never changed.
 */
export const ROOT_FORMAT = 1;
export const ROOT_MARKER = 'refill.json';

/** Folders of a root, made by its node: writers of small files expect theirs. Segments make their own. */
export const ROOT_FOLDERS = ['nodes', 'catalogue', 'checkpoints'] as const;

export interface Root {
  path: string;
  /** 16 hexadecimal digits; short, because the default socket path contains it. */
  clusterId: string;
  /** ISO 8601. */
  created: string;
}

/** What file systems put into an empty directory of their own accord. */
const NOT_OURS = new Set(['lost+found', '.snapshot', '.snapshots', '.zfs', '.ctdb', '.Trash']);
const OUR_TEMPORARY = /^refill\.json\.[0-9a-f]{16}\.tmp$/;

/** Reads the marker. `undefined` when there is none; `ERR_NOT_A_ROOT` or `ERR_ROOT_TOO_NEW` when it cannot be used. */
export async function readRoot(path: string): Promise<Root | undefined> {
  let text: string;
  try {
    text = await readFile(join(path, ROOT_MARKER), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ENOTDIR') throw notARoot(path, 'is no directory', error);
    throw notARoot(path, `cannot be read (${code})`, error);
  }
  let marker: Partial<Record<string, unknown>>;
  try {
    marker = Object(JSON.parse(text));
  } catch (error) {
    throw notARoot(path, `has a damaged ${ROOT_MARKER}`, error);
  }
  const { format, clusterId, created } = marker;
  if (typeof format === 'number' && Number.isInteger(format) && format > ROOT_FORMAT) {
    throw new RefillError(
      'ERR_ROOT_TOO_NEW',
      `${path} has format ${format}, this version knows up to ${ROOT_FORMAT}`,
      {
        fix: 'Install a newer version of Refill on this machine',
      },
    );
  }
  if (format !== ROOT_FORMAT || typeof clusterId !== 'string' || !/^[0-9a-f]{16}$/.test(clusterId)) {
    throw notARoot(path, `has a ${ROOT_MARKER} that is not Refill's`);
  }
  return { path, clusterId, created: String(created) };
}

/**
 * Opens a root, or makes one of an empty or absent directory. On return it was proven to be writable.
 * Rejects with `ERR_NOT_A_ROOT`, `ERR_ROOT_TOO_NEW` or `ERR_ROOT_READ_ONLY`. Several nodes may create one root at a
 * time: the marker appears whole, under a name that only the first can take, and all of them return that one.
 */
export async function openRoot(
  path: string,
  { clock, chance }: { clock: Clock; chance: Chance },
): Promise<Root> {
  try {
    await makeFolder(path);
  } catch (error) {
    if (isReadOnly(error)) throw readOnly(path, error);
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === 'ENOTDIR') throw notARoot(path, 'is no directory', error);
    throw notARoot(path, `cannot be made (${code})`, error);
  }
  const found = await readRoot(path);
  if (found !== undefined) {
    await proveWritable(path, hex(chance));
    return found;
  }
  const foreign = (await readdir(path)).filter((name) => !NOT_OURS.has(name) && !OUR_TEMPORARY.test(name));
  // Another node may have made the root between the two looks.
  if (foreign.length > 0 && !foreign.includes(ROOT_MARKER)) {
    const what = foreign.slice(0, 3).join(', ');
    throw notARoot(
      path,
      `has no ${ROOT_MARKER} and is not empty (${what}${foreign.length > 3 ? ', ...' : ''})`,
    );
  }
  await createMarker(
    path,
    { format: ROOT_FORMAT, clusterId: hex(chance), created: new Date(clock.wallMs()).toISOString() },
    hex(chance),
  );
  const made = await readRoot(path);
  if (made === undefined) throw notARoot(path, `lost its ${ROOT_MARKER} while it was made`);
  return made;
}

/** Whole under a temporary name, durable, then linked to the final one: a link never replaces what is there. */
async function createMarker(path: string, marker: object, nonce: string): Promise<void> {
  const temporary = join(path, `${ROOT_MARKER}.${nonce}.tmp`);
  const final = join(path, ROOT_MARKER);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(`${JSON.stringify(marker, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, final).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return;
      // No hard links on this file system: a rename may replace a marker of the same instant, so look first.
      if ((await readRoot(path)) === undefined) await rename(temporary, final);
    });
  } catch (error) {
    if (isReadOnly(error)) throw readOnly(path, error);
    throw new RefillError('ERR_STORAGE_FAILED', `${path} cannot become a root: ${(error as Error).message}`, {
      cause: error,
      errno: Math.abs((error as NodeJS.ErrnoException).errno ?? 0),
    });
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

/** Permission bits say little about a network mount or a squashed root user: only making something proves it. */
async function proveWritable(path: string, nonce: string): Promise<void> {
  const probe = join(path, `.probe-${nonce}`);
  try {
    await mkdir(probe);
    await rmdir(probe);
  } catch (error) {
    if (isReadOnly(error)) throw readOnly(path, error);
    const full = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
    // A full file system still serves what it holds.
    if (!full && (error as NodeJS.ErrnoException).errno !== -122) throw error;
    await stat(path);
  }
}

function hex(chance: Chance): string {
  return Buffer.from(chance.bytes(new Uint8Array(8))).toString('hex');
}

function isReadOnly(error: unknown): boolean {
  return ['EROFS', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function readOnly(path: string, cause: unknown): RefillError {
  return new RefillError(
    'ERR_ROOT_READ_ONLY',
    `${path} cannot be written (${(cause as NodeJS.ErrnoException).code})`,
    {
      cause,
      fix: 'Mount it for writing, or give the user of the node the right to write there',
    },
  );
}

function notARoot(path: string, why: string, cause?: unknown): RefillError {
  return new RefillError('ERR_NOT_A_ROOT', `${path} ${why}`, {
    cause,
    fix: 'Give --root an empty directory or one that Refill made',
  });
}
