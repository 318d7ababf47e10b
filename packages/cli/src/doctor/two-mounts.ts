import { constants } from 'node:os';
import {
  type BlockIO,
  type Clock,
  createIoBatch,
  type FileId,
  IO_OP,
  IO_WORDS,
  type IoBatch,
  keyOf,
  pushIo,
  RefillError,
} from '@refill/interface';
import { fillPayload, findPayloadMismatch } from '../replay/payload.ts';
import type { Finding } from './finding.ts';

const BLOCK_BYTES = 64 * 1024;
const BLOCKS_PER_FILE = 32;
const DEADLINE_MS = 30_000;
/** What a reader of the store does before it asks elsewhere. */
const RETRY_MS = [1, 4, 16] as const;

export interface TwoMountCounts {
  rounds: number;
  /** Right at the first read. */
  right: number;
  /** Right after a retry: the second mount saw it late. */
  late: number;
  /** Reads that met other bytes than those that were written and synced: zeros or something old. */
  stale: number;
  /** Reads that ended before the end of the block. */
  short: number;
  /** Reads that failed otherwise, a file that is not there yet included. */
  failed: number;
  /** Rounds that never came right. */
  wrong: number;
}

export interface TwoMountOptions {
  rounds: number;
  clock: Clock;
  onProgress: (rounds: number) => void;
}

/**
 * Writes through one mount as the segment writer does (size by `ftruncate`, O_DIRECT, aligned, `fdatasync`), reads
 * each block through the other at once, and compares it. Both engines have the same directory as their root.
 */
export async function writeHereReadThere(
  here: BlockIO,
  there: BlockIO,
  options: TwoMountOptions,
): Promise<TwoMountCounts> {
  const counts: TwoMountCounts = { rounds: 0, right: 0, late: 0, stale: 0, short: 0, failed: 0, wrong: 0 };
  const batch = createIoBatch(2);
  for (let file = 0; counts.rounds < options.rounds; file++) {
    const path = `segment-${file}`;
    const sizeBytes = BLOCKS_PER_FILE * BLOCK_BYTES;
    const writing = await here.open(path, {
      create: true,
      write: true,
      direct: true,
      sizeBytes,
      deadlineMs: DEADLINE_MS,
    });
    const reader = new Reader(there, path, batch);
    try {
      for (let block = 0; block < BLOCKS_PER_FILE && counts.rounds < options.rounds; block++) {
        const key = keyOf(`${path}/${block}`);
        fillPayload(key, here.panes[0]!.subarray(0, BLOCK_BYTES));
        batch.count = 0;
        pushIo(batch, IO_OP.write, 0, writing, block * BLOCK_BYTES, 0, 0, BLOCK_BYTES);
        pushIo(batch, IO_OP.sync, 0, writing, 0, 0, 0, 0);
        await here.submit(batch, { lane: 'write', deadlineMs: DEADLINE_MS });
        for (const op of [0, 1]) orThrow(batch, op, 'write');
        await judge(reader, key, block * BLOCK_BYTES, counts, options.clock);
        options.onProgress(++counts.rounds);
      }
    } finally {
      here.close(writing);
      reader.close();
    }
    await here.unlink(path);
  }
  return counts;
}

async function judge(
  reader: Reader,
  key: Uint8Array,
  offset: number,
  counts: TwoMountCounts,
  clock: Clock,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const outcome = await reader.read(key, offset);
    if (outcome === 'right') {
      counts[attempt === 0 ? 'right' : 'late']++;
      return;
    }
    counts[outcome]++;
    const waitMs = RETRY_MS[attempt];
    if (waitMs === undefined) {
      counts.wrong++;
      return;
    }
    await new Promise<void>((resolve) => {
      // Referenced, unlike the clock's own timers: nothing else keeps the process alive here.
      const alive = setInterval(() => undefined, 1000);
      clock.after(waitMs, () => {
        clearInterval(alive);
        resolve();
      });
    });
  }
}

class Reader {
  readonly #io: BlockIO;
  readonly #path: string;
  readonly #batch: IoBatch;
  #file: FileId | undefined;

  constructor(io: BlockIO, path: string, batch: IoBatch) {
    this.#io = io;
    this.#path = path;
    this.#batch = batch;
  }

  async read(key: Uint8Array, offset: number): Promise<'right' | 'stale' | 'short' | 'failed'> {
    const bytes = this.#io.panes[0]!.subarray(0, BLOCK_BYTES);
    bytes.fill(0xdb);
    try {
      this.#file ??= await this.#io.open(this.#path, { direct: true, deadlineMs: DEADLINE_MS });
    } catch (error) {
      if (error instanceof RefillError) return 'failed';
      throw error;
    }
    this.#batch.count = 0;
    pushIo(this.#batch, IO_OP.read, 0, this.#file, offset, 0, 0, BLOCK_BYTES);
    await this.#io.submit(this.#batch, { lane: 'read', deadlineMs: DEADLINE_MS });
    const result = this.#batch.words[9]!;
    // The engine reports a read that stays short as EIO.
    if (result === -constants.errno.EIO || (result >= 0 && result < BLOCK_BYTES)) return 'short';
    if (result < 0) return 'failed';
    return findPayloadMismatch(key, bytes) === -1 ? 'right' : 'stale';
  }

  close(): void {
    if (this.#file !== undefined) this.#io.close(this.#file);
  }
}

function orThrow(batch: IoBatch, op: number, what: string): void {
  const result = batch.words[op * IO_WORDS + 9]!;
  if (result < 0)
    throw new RefillError('ERR_STORAGE_FAILED', `the ${what} failed with errno ${-result}`, {
      errno: -result,
    });
}

/** The counts as a finding. */
export function twoMountFinding(name: string, counts: TwoMountCounts): Finding {
  const { rounds, right, late, stale, short, failed, wrong } = counts;
  return {
    name,
    level: wrong > 0 ? 'fail' : late > 0 ? 'warn' : 'ok',
    found: `${right} of ${rounds} right at once, ${late} after a retry, ${wrong} never (reads: ${stale} stale, ${short} short, ${failed} failed)`,
    ...(wrong > 0
      ? {
          advice:
            'What one mount synced, the other does not read: blocks would be misses on other nodes. Check caching options of the mounts',
        }
      : late > 0
        ? { advice: 'Readers retry after 1, 4 and 16 ms, which was enough here' }
        : {}),
    figures: { ...counts },
  };
}
