import { HUGE_PAGE_BYTES, type IoReport } from '@refill/interface';

export interface BlockIOOptions {
  /** Directory that all paths are relative to. */
  root: string;
  /** Size of the arena, rounded up to 2 MiB; not needed with `arenaOf`. */
  arenaBytes?: number;
  /**
   * Uses the arena of another engine, under buffer 0, instead of one of its own: another root with workers of its own,
   * so that a device that hangs does not stop the other. Stop this engine before that one.
   */
  arenaOf?: ArenaOwner;
  /** `auto` takes io_uring where the kernel grants it. */
  engine?: 'auto' | 'io_uring' | 'threads';
  /** `on` fails where O_DIRECT is refused, `auto` falls back to buffered I/O with `posix_fadvise`. */
  direct?: 'auto' | 'on' | 'off';
  /** Workers of each lane. Default 2 that read and 3 that write. */
  lanes?: { read?: number; write?: number };
  /** Bytes one worker keeps in flight. */
  inflightBytes?: { read?: number; write?: number; writeBehindReads?: number };
  /** Where to listen for clients that map the arena or hand over regions; no socket when absent. */
  fdSocketPath?: string;
  /** Last step of the ladder of page sizes that is tried; for tests. */
  arenaPagesUpTo?: 'none' | 'hugetlb' | 'thp' | 'collapse';
  /** Deadline of each step of creation. Touching a large arena takes up to 3 s a GiB on a fresh virtual machine. */
  startDeadlineMs?: number;
}

/** What is needed of the engine whose arena is shared. */
export interface ArenaOwner {
  readonly instance: number;
  readonly panes: readonly Uint8Array[];
  readonly report: IoReport;
}

export interface ResolvedOptions {
  root: string;
  arenaBytes: number;
  arenaOf: ArenaOwner | undefined;
  engine: 'auto' | 'io_uring' | 'threads';
  direct: 'auto' | 'on' | 'off';
  readWorkers: number;
  writeWorkers: number;
  readInflightBytes: number;
  writeInflightBytes: number;
  writeInflightBytesBehindReads: number;
  fdSocketPath: string | undefined;
  pagesUpTo: number;
  startDeadlineMs: number;
}

/** Rungs of the ladder, in the order of `PagesBy` in `native/arena.h`. */
export const PAGES_BY = ['none', 'hugetlb', 'thp', 'collapse'] as const;

/** Four requests of 1 MiB saturate what we measured; more adds waiting only. */
const READ_INFLIGHT_BYTES = 8 * 1024 * 1024;
const WRITE_INFLIGHT_BYTES = 4 * 1024 * 1024;
/** While reads wait, a write queue of 1 MiB doubles their time and eight times as much makes it 35-fold. */
const WRITE_INFLIGHT_BYTES_BEHIND_READS = 1024 * 1024;
/** Two that write, and one for checksums and syncs: behind a write of 16 MiB a sync of one millisecond takes sixteen. */
const WRITE_WORKERS = 3;
const WORKERS_MAX = 64;

function within(name: string, value: number, from: number, to: number): number {
  if (Number.isInteger(value) && value >= from && value <= to) return value;
  throw new RangeError(`${name} must be an integer of ${from}..${to}, got ${value}`);
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new RangeError(`${name} must be one of ${allowed.join(', ')}, got ${String(value)}`);
}

/** Fills in defaults and refuses what is out of range. */
export function resolveOptions(options: BlockIOOptions): ResolvedOptions {
  const { root, lanes = {}, inflightBytes = {} } = options;
  if (typeof root !== 'string' || root === '') throw new TypeError('root must be the path of a directory');
  const owned = options.arenaOf?.report.arenaBytes;
  const asked = within(
    'arenaBytes',
    owned ?? options.arenaBytes ?? 0,
    1,
    Number.MAX_SAFE_INTEGER - HUGE_PAGE_BYTES,
  );
  const pages = oneOf('arenaPagesUpTo', options.arenaPagesUpTo ?? 'collapse', PAGES_BY);
  const bytes = (name: string, value: number): number => within(name, value, 4096, 2 ** 31 - 1);
  return {
    root,
    arenaBytes: Math.ceil(asked / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES,
    arenaOf: options.arenaOf,
    engine: oneOf('engine', options.engine ?? 'auto', ['auto', 'io_uring', 'threads']),
    direct: oneOf('direct', options.direct ?? 'auto', ['auto', 'on', 'off']),
    readWorkers: within('lanes.read', lanes.read ?? 2, 1, WORKERS_MAX),
    writeWorkers: within('lanes.write', lanes.write ?? WRITE_WORKERS, 1, WORKERS_MAX),
    readInflightBytes: bytes('inflightBytes.read', inflightBytes.read ?? READ_INFLIGHT_BYTES),
    writeInflightBytes: bytes('inflightBytes.write', inflightBytes.write ?? WRITE_INFLIGHT_BYTES),
    writeInflightBytesBehindReads: bytes(
      'inflightBytes.writeBehindReads',
      inflightBytes.writeBehindReads ?? WRITE_INFLIGHT_BYTES_BEHIND_READS,
    ),
    fdSocketPath: options.fdSocketPath,
    pagesUpTo: PAGES_BY.indexOf(pages),
    startDeadlineMs: within('startDeadlineMs', options.startDeadlineMs ?? 600_000, 1, 600_000),
  };
}
