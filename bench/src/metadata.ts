import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { COMMIT_ROW, COMMIT_ROW_WORDS, type Directory, KEY_WORDS, type SmallFiles } from '@refill/interface';
import { createDirectory, LevelEngine } from '@refill/metadata';
import { hugeMemory } from '@refill/native-io';
import { nativeProgram } from './build-native.ts';

/** One line of the results; `against` names the rival, `ratio` is ours to its. */
export interface BenchRow {
  name: string;
  value: number;
  unit: string;
  against?: string;
  ratio?: number;
  target?: string;
  met?: boolean;
}

export interface MetadataBenchOptions {
  /** Directory for scratch databases, on the disk to be measured. */
  scratch: string;
  /** Rounds of a comparison, default 5. */
  rounds?: number;
}

const PREFIX_KEYS = 14_000;
const LOAD_BLOCKS = 16_384;
const COMMIT_BLOCKS = 100;
const CALLERS = 4;
const ROUNDS = 5;
const NODE = 'bench';

/** Nothing of a benchmark has to outlive it. */
const NO_FILES: SmallFiles = {
  readFile: async () => undefined,
  writeFile: async () => {},
  list: async () => [],
  unlink: async () => {},
};

/**
 * Loads `blocks` blocks (index and engine, no sync) and asks for prefixes of 14,000 keys that lie scattered over the
 * index: load rate, memory a block, latency of `matchPrefix`.
 */
export async function benchIndex(blocks: number, { scratch }: MetadataBenchOptions): Promise<BenchRow[]> {
  return withDirectory(scratch, async (directory, segment, epoch) => {
    const rows = new Uint32Array(LOAD_BLOCKS * COMMIT_ROW_WORDS);
    let elapsedMs = 0;
    for (let first = 0; first < blocks; first += LOAD_BLOCKS) {
      const count = Math.min(LOAD_BLOCKS, blocks - first);
      fillRows(rows, segment, first, count);
      const from = performance.now();
      await directory.commit(NODE, epoch, rows, count, new Uint8Array(count));
      elapsedMs += performance.now() - from;
    }
    const latencies = measurePrefixes(directory, blocks);
    const p99 = percentile(latencies, 0.99);
    const bytes = directory.stats.indexBytes / directory.stats.blocks;
    const rate = blocks / (elapsedMs / 1000);
    const label = `${blocks / 1e6} M blocks`;
    return [
      { name: `matchPrefix of 14,000 keys, p50, ${label}`, value: percentile(latencies, 0.5), unit: 'ms' },
      {
        name: `matchPrefix of 14,000 keys, p99, ${label}`,
        value: p99,
        unit: 'ms',
        target: '< 5',
        met: p99 < 5,
      },
      {
        name: `memory of the block index, ${label}`,
        value: bytes,
        unit: 'B/block',
        target: '<= 96',
        met: bytes <= 96,
      },
      {
        name: `load into index and engine, ${label}`,
        value: rate,
        unit: 'blocks/s',
        target: '>= 250000',
        met: rate >= 250_000,
      },
    ];
  });
}

/** Durable commits of 100 records by four callers, in turn with a C++ program on LevelDB; medians of five rounds. */
export async function benchDurableCommit(
  records: number,
  { scratch, rounds = ROUNDS }: MetadataBenchOptions,
): Promise<BenchRow[]> {
  const library = { flags: ['-lleveldb'], install: 'libleveldb-dev' };
  const rival = nativeProgram('leveldb_commit', library);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await withDirectory(scratch, (...place) => commitRate(records, ...place)));
    theirs.push(await rivalRate(rival, records, scratch));
  }
  const value = median(ours);
  const row: BenchRow = { name: 'durable commits of 100 records, 4 callers', value, unit: 'records/s' };
  const ratio = median(ours.map((rate, round) => rate / theirs[round]!));
  return [
    {
      ...row,
      against: `C++ LevelDB, 4 threads: ${median(theirs)}`,
      ratio,
      target: '>= 0.8',
      met: ratio >= 0.8,
    },
  ];
}

/** Stops with a checkpoint and starts again, then starts once more after a crash (the engine's records are read). */
export async function benchRestart(blocks: number, { scratch }: MetadataBenchOptions): Promise<BenchRow[]> {
  const files = new Map<string, Uint8Array>();
  const kept: SmallFiles = {
    readFile: async (path) => files.get(path),
    writeFile: async (path, bytes) => void files.set(path, bytes),
    list: async (path) =>
      [...files.keys()]
        .filter((name) => name.startsWith(`${path}/`))
        .map((name) => name.slice(path.length + 1))
        .sort(),
    unlink: async (path) => void files.delete(path),
  };
  const path = await mkdtemp(join(scratch, 'metadata-'));
  const timed = async (action: () => void | Promise<void>): Promise<number> => {
    const from = performance.now();
    await action();
    return blocks / ((performance.now() - from) / 1000);
  };
  try {
    const directory = directoryAt(path, kept);
    await directory.start();
    const { segment, epoch } = await openSegment(directory);
    const rows = new Uint32Array(LOAD_BLOCKS * COMMIT_ROW_WORDS);
    for (let first = 0; first < blocks; first += LOAD_BLOCKS) {
      const count = Math.min(LOAD_BLOCKS, blocks - first);
      fillRows(rows, segment, first, count);
      await directory.commit(NODE, epoch, rows, count, new Uint8Array(count));
    }
    const stop = await timed(() => directory.stop());
    const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    const clean = await timed(() => directory.start());
    await directory.stop();
    files.clear();
    const crashed = await timed(() => directory.start());
    await directory.stop();
    const label = `${blocks / 1e6} M blocks`;
    return [
      { name: `stop with a checkpoint, ${label}`, value: stop, unit: 'blocks/s' },
      { name: `size of the checkpoint, ${label}`, value: bytes / blocks, unit: 'B/block' },
      { name: `start from the checkpoint, ${label}`, value: clean, unit: 'blocks/s' },
      { name: `start from the engine's records, ${label}`, value: crashed, unit: 'blocks/s' },
    ];
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

function directoryAt(path: string, files: SmallFiles): Directory {
  return createDirectory({
    engine: new LevelEngine({ path }),
    files,
    clock: { wallMs: () => Date.now() },
    chance: { bytes: (target) => randomFillSync(target) },
    memory: hugeMemory(),
    log: { error: (format, ...args) => console.error(format, ...args) },
  });
}

async function openSegment(directory: Directory): Promise<{ segment: number; epoch: number }> {
  const epoch = await directory.acquireEpoch(NODE);
  const fingerprint = {
    name: 'bench',
    model: 'bench',
    dtype: 'bfloat16',
    layout: 'bench',
    tokensPerBlock: 16,
  };
  const namespace = (await directory.openNamespace(fingerprint)).index;
  const id = randomFillSync(new Uint8Array(16));
  const segment = await directory.createSegment({ id, namespace, node: NODE, epoch, sizeBytes: 2 ** 30 });
  return { segment: segment.index, epoch };
}

async function withDirectory<T>(
  scratch: string,
  use: (directory: Directory, segment: number, epoch: number) => Promise<T>,
): Promise<T> {
  const path = await mkdtemp(join(scratch, 'metadata-'));
  const directory = directoryAt(path, NO_FILES);
  try {
    await directory.start();
    const { segment, epoch } = await openSegment(directory);
    return await use(directory, segment, epoch);
  } finally {
    await directory.stop();
    await rm(path, { recursive: true, force: true });
  }
}

/** Key of block `number`: words of a mixing function, so that keys need not be kept. */
function fillKey(keys: Uint32Array, at: number, number: number): void {
  let state = Math.imul(number + 1, 0x9e3779b1);
  for (let word = 0; word < KEY_WORDS; word++) {
    state = (state + 0x6d2b79f5) | 0;
    const mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    keys[at + word] = word === 0 ? number : mixed ^ (mixed >>> 14);
  }
}

function fillRows(rows: Uint32Array, segment: number, first: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const at = i * COMMIT_ROW_WORDS;
    const number = first + i;
    fillKey(rows, at + COMMIT_ROW.key, number);
    if (number % PREFIX_KEYS !== 0) fillKey(rows, at + COMMIT_ROW.parent, number - 1);
    rows[at + COMMIT_ROW.segment] = segment;
    rows[at + COMMIT_ROW.offsetPages] = number * 16;
    rows[at + COMMIT_ROW.lengthBytes] = 65_536;
    rows[at + COMMIT_ROW.storedBytes] = 65_536;
    rows[at + COMMIT_ROW.checksumLo] = Math.imul(number, 0x85ebca6b);
    rows[at + COMMIT_ROW.checksumHi] = Math.imul(number, 0xc2b2ae35);
    rows[at + COMMIT_ROW.tokens] = 16;
  }
}

function measurePrefixes(directory: Directory, blocks: number): number[] {
  const keys = new Uint32Array(PREFIX_KEYS * KEY_WORDS);
  const latencies: number[] = [];
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < PREFIX_KEYS; i++) fillKey(keys, i * KEY_WORDS, Math.floor(Math.random() * blocks));
    const from = performance.now();
    if (directory.matchPrefix(0, keys, PREFIX_KEYS) !== PREFIX_KEYS)
      throw new Error('a loaded block is missing');
    latencies.push(performance.now() - from);
  }
  return latencies;
}

async function commitRate(
  records: number,
  directory: Directory,
  segment: number,
  epoch: number,
): Promise<number> {
  let next = 0;
  const caller = async (): Promise<void> => {
    const rows = new Uint32Array(COMMIT_BLOCKS * COMMIT_ROW_WORDS);
    const accepted = new Uint8Array(COMMIT_BLOCKS);
    while (next < records) {
      fillRows(rows, segment, next, COMMIT_BLOCKS);
      next += COMMIT_BLOCKS;
      await directory.commit(NODE, epoch, rows, COMMIT_BLOCKS, accepted, { durable: true });
    }
  };
  const from = performance.now();
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return records / ((performance.now() - from) / 1000);
}

async function rivalRate(binary: string, records: number, scratch: string): Promise<number> {
  const path = await mkdtemp(join(scratch, 'rival-'));
  try {
    const run = spawnSync(binary, [path, `${records}`, `${COMMIT_BLOCKS}`, `${CALLERS}`], {
      encoding: 'utf8',
    });
    if (run.status !== 0) throw new Error(`leveldb_commit failed: ${run.stderr}`);
    return Number(run.stdout);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

function median(values: number[]): number {
  return percentile(values, 0.5);
}
