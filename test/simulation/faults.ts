/** What of the product does not hold yet: mixes of operations that need it are left out until it does. */
export const KNOWN_GAPS = {
  /** A rebuild numbers namespaces and segments anew: nodes are made anew too, in worlds of one namespace. */
  rebuildRenumbers: true,
  /** Of two writes of a key by different nodes a rebuild may take the one that was not the first. */
  rebuildReorders: true,
  /** Removals are not synced in the database: worlds with deletions do not cut the service's power. */
  removalsUnsynced: true,
  /** Deletions have no order with puts of other nodes at a rebuild: worlds with deletions lose no database. */
  deletionsUnordered: true,
  /** An unanswered lookup passes for absence: a deletion counts only if nothing was in its way. */
  deletionNeedsService: true,
  /** A name or size that is late takes a block out of the directory. */
  lateNamesLoseBlocks: true,
  /** A checkpoint brings deleted blocks back while the service is away. */
  checkpointRevives: true,
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
    // Longer than readers are patient, a late byte is taken for a wrong one: see `lateNamesLoseBlocks`.
    staleMs: some(0.6, 15),
    unsyncedMs: some(0.5, 100),
    lateNameMs: KNOWN_GAPS.lateNamesLoseBlocks ? 0 : some(0.4, 1500),
    lateSizeMs: KNOWN_GAPS.lateNamesLoseBlocks ? 0 : some(0.4, 1000),
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
