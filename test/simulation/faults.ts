/** What of the product does not hold yet: mixes of operations that need it are left out until it does. */
export const KNOWN_GAPS = {
  /**
   * A rebuild orders segments of different nodes by epoch: of two writes of a key that raced it may take the one that
   * lost, and what was put after another node's deletion may be lost.
   */
  rebuildReorders: true,
  /**
   * A rebuild may bring back, of a key that was deleted, the put that had lost a race before: the tombstone names where
   * the winner lay (seed 7148 with this off, the only one of 12,000).
   */
  rebuildRevives: true,
} as const;

/** How likely what goes wrong is with one operation, and how late others see what a host did, at most. */
export interface FsFaults {
  error: number;
  full: number;
  hang: number;
  slow: number;
  slowMs: number;
  short: number;
  staleMs: number;
  unsyncedMs: number;
  lateNameMs: number;
  lateSizeMs: number;
  lateSmallMs: number;
  /** The planted bug of a disk: syncs answer and do nothing. */
  syncsLie: boolean;
}

export const NO_FS_FAULTS: Readonly<FsFaults> = {
  error: 0,
  full: 0,
  hang: 0,
  slow: 0,
  slowMs: 0,
  short: 0,
  staleMs: 0,
  unsyncedMs: 0,
  lateNameMs: 0,
  lateSizeMs: 0,
  lateSmallMs: 0,
  syncsLie: false,
};

/** Mixed anew for each seed: most kinds are off in most worlds, for what always happens hides the rest. */
export function drawFsFaults(random: () => number): FsFaults {
  const some = (chance: number, rate: number): number => (random() < chance ? rate * random() : 0);
  return {
    error: some(0.4, 0.03),
    full: some(0.15, 0.05),
    hang: some(0.3, 0.02),
    slow: some(0.4, 0.1),
    slowMs: 10 + 3000 * random() ** 3,
    short: some(0.3, 0.05),
    // Longer than readers are patient, a late byte is taken for a wrong one.
    staleMs: some(0.6, 15),
    unsyncedMs: 10 + some(0.5, 100),
    lateNameMs: some(0.4, 1500),
    lateSizeMs: some(0.4, 1000),
    lateSmallMs: some(0.4, 20),
    syncsLie: false,
  };
}

/** What becomes of one operation. */
export interface Fate {
  delayMs: number;
  errno: number;
  isShort: boolean;
  hangs: boolean;
}

const ERRNO = { EIO: 5, ENOSPC: 28, ESTALE: 116 } as const;

export function drawFate(kind: string, faults: FsFaults, isHung: boolean, random: () => number): Fate {
  let delayMs = 0.1 + random();
  if (faults.slow > 0 && random() < faults.slow) delayMs += faults.slowMs * random();
  const hangs = isHung || (faults.hang > 0 && random() < faults.hang);
  let errno = 0;
  if (faults.error > 0 && random() < faults.error) errno = ERRNO.EIO;
  const isWrite = kind === 'write' || kind === 'create';
  if (isWrite && faults.full > 0 && random() < faults.full) errno = ERRNO.ENOSPC;
  const isShort = faults.short > 0 && random() < faults.short;
  return { delayMs, errno, isShort, hangs };
}
