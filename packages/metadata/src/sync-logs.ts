import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What LevelDB calls its logs: a number that rises, six digits or more. */
const LOG = /^\d{6,}\.log$/;

/** The calls on the local disk that this needs. */
export interface LogDisk {
  readdir(folder: string): Promise<string[]>;
  open(path: string): Promise<{ datasync(): Promise<void>; sync(): Promise<void>; close(): Promise<void> }>;
}

const localDisk: LogDisk = { readdir, open: (path) => open(path) };

/**
 * Makes durable every record that LevelDB has logged. A sync of its own covers the log that it writes to now: one that
 * is full is closed without, and is needed until its records lie in a table. A log that vanishes meanwhile was in a
 * table, synced, before it was removed.
 */
export async function syncLogs(folder: string, disk: LogDisk = localDisk): Promise<void> {
  const logs = (await disk.readdir(folder)).filter((name) => LOG.test(name));
  for (const name of logs) {
    const log = await disk.open(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    await log?.datasync().finally(() => log.close());
  }
  // LevelDB syncs the names of tables, not those of logs.
  const directory = await disk.open(folder);
  await directory.sync().finally(() => directory.close());
}
