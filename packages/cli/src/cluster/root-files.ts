import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SmallFiles } from '@refill/interface';

/** Reads small files of a root without an engine and its arena: for a command that only looks. */
export function rootFiles(root: string): Pick<SmallFiles, 'readFile' | 'list'> {
  const unlessGone = (error: NodeJS.ErrnoException): undefined => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  };
  return {
    async readFile(path, { maxBytes = Number.MAX_SAFE_INTEGER } = {}) {
      const bytes = await readFile(join(root, path)).catch(unlessGone);
      if (bytes !== undefined && bytes.length > maxBytes) {
        throw new RangeError(`${path} is ${bytes.length} bytes, more than ${maxBytes}`);
      }
      return bytes;
    },
    async list(path) {
      return (await readdir(join(root, path)).catch(unlessGone))?.sort() ?? [];
    },
  };
}
