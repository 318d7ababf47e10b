import { type EngineOp, type EngineRange, type MetadataEngine, RefillError } from '@refill/interface';
import { Level } from 'level';
import { syncLogs } from './sync-logs.ts';
import type { Database } from './write-group.ts';
import { WriteQueue } from './write-queue.ts';

const SCAN_RECORDS = 1000;

export interface LevelEngineOptions {
  /** Directory of the database, on a local disk: the shared file system offers no fencing. */
  path: string;
  /** Default 8 MiB. */
  cacheBytes?: number;
  /** Makes durable what the database at a path has logged, for barriers. Default: on the local disk. */
  syncLogs?: (path: string) => Promise<void>;
}

/**
 * LevelDB behind the engine's contract. Calls go through one queue, so that conditions are decided in the order of the
 * calls; calls that wait meanwhile share a batch and its sync. One process holds the database at a time.
 */
export class LevelEngine implements MetadataEngine {
  readonly name = 'level';
  readonly #path: string;
  #db: Database | undefined;
  readonly #cacheBytes: number;
  readonly #syncLogs: () => Promise<void>;
  readonly #queue: WriteQueue;

  constructor({ path, cacheBytes = 8 * 1024 * 1024, syncLogs: sync = syncLogs }: LevelEngineOptions) {
    this.#path = path;
    this.#cacheBytes = cacheBytes;
    this.#syncLogs = () => sync(path);
    this.#queue = new WriteQueue(this.#syncLogs);
  }

  async start(): Promise<void> {
    if (this.#db !== undefined) return;
    // Digests and checksums do not compress: Snappy would only cost time.
    const options = { compression: false, cacheSize: this.#cacheBytes };
    const db: Database = new Level(this.#path, { keyEncoding: 'view', valueEncoding: 'view', ...options });
    try {
      await db.open();
      this.#db = db;
    } catch (error) {
      throw openError(this.#path, error);
    }
  }

  async stop(): Promise<void> {
    await this.#queue.drained();
    const db = this.#db;
    this.#db = undefined;
    await db?.close();
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#open.getMany(keys as Uint8Array[]);
  }

  async write(
    ops: readonly EngineOp[],
    options: { durable?: boolean; independent?: boolean; barrier?: boolean } = {},
  ): Promise<boolean[]> {
    if (ops.length === 0) return [];
    const db = this.#open;
    try {
      return await this.#queue.write(db, ops, options);
    } catch (error) {
      throw writeError(error);
    }
  }

  scan(range: EngineRange): AsyncIterable<readonly (readonly [key: Uint8Array, value: Uint8Array])[]> {
    // Made here, not at the first step of the generator: LevelDB takes the iterator's snapshot now.
    const iterator = this.#open.iterator(range);
    return (async function* () {
      try {
        while (true) {
          const chunk = await iterator.nextv(SCAN_RECORDS);
          if (chunk.length === 0) return;
          yield chunk;
        }
      } finally {
        await iterator.close();
      }
    })();
  }

  async clear(range: EngineRange): Promise<void> {
    const db = this.#open;
    return new Promise((resolve, reject) => {
      this.#queue.push(db, {
        independent: false,
        run: async () => {
          await db.clear(range);
          await this.#syncLogs();
          resolve();
        },
        fail: (error) => reject(writeError(error)),
      });
    });
  }

  get #open(): Database {
    if (this.#db !== undefined) return this.#db;
    throw new RefillError('ERR_NODE_CLOSED', `the metadata database ${this.#path} is not open`);
  }
}

function openError(path: string, error: unknown): RefillError {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  if (cause?.code === 'LEVEL_LOCKED') {
    return new RefillError(
      'ERR_NODE_IDENTITY_TAKEN',
      `the metadata database ${path} is in use by another process`,
      {
        cause: error,
        fix: 'Stop that process, or give this one a directory of its own',
      },
    );
  }
  if (cause?.code === 'LEVEL_CORRUPTION') {
    return new RefillError('ERR_CORRUPT', `the metadata database ${path} is damaged: ${cause.message}`, {
      cause: error,
      fix: 'It is a cache of the segments: remove the directory and run refill rebuild',
    });
  }
  return new RefillError(
    'ERR_STORAGE_FAILED',
    `cannot open the metadata database ${path}: ${cause?.message ?? error}`,
    {
      cause: error,
    },
  );
}

function writeError(error: unknown): RefillError {
  return new RefillError(
    'ERR_STORAGE_FAILED',
    `the metadata database refused a write: ${(error as Error).message}`,
    {
      cause: error,
    },
  );
}
