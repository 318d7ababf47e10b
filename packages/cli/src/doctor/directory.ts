import { link, mkdir, open, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@refill/interface';
import { duration } from '../output/table.ts';
import type { Finding } from './finding.ts';

const SYNCS = 32;
const RENAMES = 300;

/** What a directory can do that the safety of writers rests on. Works in `scratch`, which exists and is empty. */
export async function checkDirectory(scratch: string, clock: Clock): Promise<Finding[]> {
  return [
    await exclusive(scratch),
    await renames(scratch),
    await hardLinks(scratch),
    await truncated(scratch),
    await syncCost(scratch, clock),
  ];
}

async function exclusive(scratch: string): Promise<Finding> {
  const path = join(scratch, 'exclusive');
  const tries = await Promise.all(
    Array.from({ length: 8 }, () =>
      open(path, 'wx').then(
        async (file) => {
          await file.close();
          return 1;
        },
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'EEXIST') return 0;
          throw error;
        },
      ),
    ),
  );
  const winners = tries.reduce<number>((sum, won) => sum + won, 0);
  return {
    name: 'O_EXCL',
    level: winners === 1 ? 'ok' : 'fail',
    found: `${winners} of ${tries.length} creations of one file at a time succeeded`,
    ...(winners === 1
      ? {}
      : { advice: 'Two nodes could write one segment here; do not use this file system' }),
  };
}

/**
 * A reader that opens the name during renames over it should always find one whole version. GlusterFS at times finds
 * none for an instant. Nothing is lost by that: what is replaced by rename (catalogue, checkpoints, notes of nodes) is
 * read as absent, and made again from the segments. A torn file would be read as damaged for good.
 */
async function renames(scratch: string): Promise<Finding> {
  const path = join(scratch, 'renamed');
  const version = (n: number): string => String(n).repeat(2000);
  await writeFile(path, version(0));
  let torn = 0;
  let missing = 0;
  let reads = 0;
  let writing = true;
  const reader = async (): Promise<void> => {
    while (writing) {
      reads++;
      const text = await readFile(path, 'utf8').catch(() => undefined);
      if (text === undefined) missing++;
      else if (text.length !== 2000 || text !== version(Number(text[0]))) torn++;
    }
  };
  const readers = [reader(), reader()];
  try {
    for (let i = 1; i <= RENAMES; i++) {
      await writeFile(`${path}.tmp`, version(i % 10));
      await rename(`${path}.tmp`, path);
    }
  } finally {
    writing = false;
    await Promise.all(readers);
  }
  const isWhole = torn === 0 && missing === 0;
  return {
    name: 'rename',
    level: isWhole ? 'ok' : torn === 0 ? 'warn' : 'fail',
    found: isWhole
      ? `atomic: ${reads} reads during ${RENAMES} renames found a whole file`
      : `not atomic: of ${reads} reads ${missing} found nothing, ${torn} a torn file${torn === 0 ? '; a reader may miss a checkpoint for an instant, and does without' : ''}`,
    figures: { reads, missing, torn },
  };
}

async function hardLinks(scratch: string): Promise<Finding> {
  const path = join(scratch, 'linked');
  await writeFile(path, 'x');
  const error = await link(path, `${path}.2`).then(
    () => undefined,
    (e: NodeJS.ErrnoException) => e.code ?? 'error',
  );
  return {
    name: 'hard links',
    level: error === undefined ? 'ok' : 'warn',
    found: error === undefined ? 'work' : `refused (${error})`,
    ...(error === undefined
      ? {}
      : {
          advice:
            'Make the root with one node before others start: two first starts at a time could both win',
        }),
  };
}

async function truncated(scratch: string): Promise<Finding> {
  const path = join(scratch, 'truncated');
  const file = await open(path, 'wx');
  try {
    await file.truncate(1 << 30);
    const { size } = await stat(path);
    return {
      name: 'ftruncate',
      level: size === 1 << 30 ? 'ok' : 'fail',
      found: `a file of 1 GiB is ${size === 1 << 30 ? 'made at once' : `${size} bytes`}`,
    };
  } finally {
    await file.close();
    await unlink(path);
  }
}

async function syncCost(scratch: string, clock: Clock): Promise<Finding> {
  await mkdir(join(scratch, 'sync'));
  const file = await open(join(scratch, 'sync', 'file'), 'wx');
  const page = Buffer.alloc(4096, 1);
  const us: number[] = [];
  try {
    for (let i = 0; i < SYNCS; i++) {
      await file.write(page, 0, page.length, i * page.length);
      const startedMs = clock.nowMs();
      await file.datasync();
      us.push((clock.nowMs() - startedMs) * 1000);
    }
  } finally {
    await file.close();
  }
  us.sort((a, b) => a - b);
  const [p50Us, p99Us] = [us[us.length >> 1]!, us[us.length - 1]!];
  return {
    name: 'fdatasync',
    level: p50Us > 50_000 ? 'warn' : 'ok',
    found: `median ${duration(p50Us)}, worst of ${SYNCS} ${duration(p99Us)}`,
    ...(p50Us > 50_000
      ? { advice: 'Puts with durability shared wait for this; prefer memory, which is written behind' }
      : {}),
    figures: { medianUs: Math.round(p50Us), worstUs: Math.round(p99Us) },
  };
}
