import { readFileSync } from 'node:fs';
import { createIoBatch, IO_FLAG, IO_OP, pushIo } from '@refill/interface';
import { createBlockIO } from '@refill/native-io';
import t, { type Test } from 'tap';
import { resultOf } from '../compliance/block-io.ts';
import { HUGE_PAGES, SHMEM_THP, settingOf, setUntilEnd } from '../fixtures/kernel-setting.ts';
import { requiresRoot } from '../fixtures/requires.ts';

const MIB = 1024 * 1024;
const ARENA_BYTES = 8 * MIB;
type Rung = 'none' | 'hugetlb' | 'thp' | 'collapse';

/** KiB of a field of smaps over the mappings of arenas in this process. */
function arenaKib(field: string): number {
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  return mappings
    .filter((mapping) => mapping.includes('memfd:refill'))
    .reduce(
      (sum, mapping) => sum + Number(new RegExp(`^${field}: +(\\d+) kB`, 'm').exec(mapping)?.[1] ?? 0),
      0,
    );
}

interface Pages {
  by: string;
  reported: number;
  pmdKib: number;
  hugetlbKib: number;
}

/** More than the pool of huge pages has, so that the rungs below it are reached on a machine that keeps one. */
function beyondPool(): number {
  const free = Number(/^HugePages_Free: +(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0);
  return Math.min(ARENA_BYTES + free * 2 * MIB, 512 * MIB);
}

/** Makes an arena by the ladder up to a rung, moves bytes through it, and looks at how it is mapped. */
async function arenaBy(t: Test, upTo?: Rung, arenaBytes = ARENA_BYTES): Promise<Pages> {
  const root = t.testdir({});
  const io = await createBlockIO({ root, arenaBytes, ...(upTo && { arenaPagesUpTo: upTo }) });
  try {
    const pages = {
      by: io.report.arenaPagesBy,
      reported: io.report.arenaPageBytes,
      pmdKib: arenaKib('ShmemPmdMapped'),
      hugetlbKib: arenaKib('Shared_Hugetlb') + arenaKib('Private_Hugetlb'),
    };
    const file = await io.open('f', { create: true, write: true, direct: true, sizeBytes: 4 * MIB });
    const [pane] = io.panes;
    for (let i = 0; i < 3 * MIB; i++) pane![i] = (i * 7) >> 4;
    const write = createIoBatch(1);
    pushIo(write, IO_OP.write, IO_FLAG.checksum, file, 0, 0, 0, 3 * MIB);
    await io.submit(write, { lane: 'write', deadlineMs: 20_000 });
    const read = createIoBatch(1);
    const [low, high] = write.uwords.subarray(10, 12);
    pushIo(read, IO_OP.read, IO_FLAG.verify, file, 0, 0, 4 * MIB, 3 * MIB, low!, high!);
    await io.submit(read, { lane: 'read', deadlineMs: 20_000 });
    t.equal(resultOf(read, 0), 3 * MIB, 'verified');
    t.equal(
      Buffer.compare(pane!.subarray(4 * MIB, 7 * MIB), pane!.subarray(0, 3 * MIB)),
      0,
      'bytes are right',
    );
    return pages;
  } finally {
    await io.stop();
  }
}

t.test('hugetlb: the first rung where the pool has pages', async (t) => {
  if (!requiresRoot(t)) return;
  const before = Number(settingOf(HUGE_PAGES));
  // Arenas of other tests that run at the same time take from the pool as well.
  if (!setUntilEnd(t, HUGE_PAGES, String(before + 64))) return t.plan(0, 'the kernel gives no huge pages');
  let pages = await arenaBy(t, 'hugetlb');
  for (let attempt = 0; attempt < 20 && pages.by !== 'hugetlb'; attempt++)
    pages = await arenaBy(t, 'hugetlb');
  t.match(pages, { by: 'hugetlb', reported: 2 * MIB, hugetlbKib: ARENA_BYTES / 1024, pmdKib: 0 });
});

t.test('thp: huge pages in shared memory where the policy lets a mapping ask', async (t) => {
  if (!requiresRoot(t)) return;
  if (!setUntilEnd(t, SHMEM_THP, 'advise')) return t.plan(0, 'the kernel has no transparent huge pages');
  const bytes = beyondPool();
  const pages = await arenaBy(t, 'thp', bytes);
  if (pages.by === 'hugetlb') return t.comment('the pool of huge pages served first');
  // What is free may be in pieces: then the report must say so.
  if (pages.by === 'none') t.match(pages, { reported: 4096 });
  else t.match(pages, { by: 'thp', reported: 2 * MIB, pmdKib: bytes / 1024, hugetlbKib: 0 });
});

t.test('collapse: pages are put together where nothing gives large ones', async (t) => {
  if (!requiresRoot(t)) return;
  if (!setUntilEnd(t, SHMEM_THP, 'never')) return t.plan(0, 'the kernel has no transparent huge pages');
  const bytes = beyondPool();
  const pages = await arenaBy(t, 'collapse', bytes);
  if (pages.by === 'hugetlb') return t.comment('the pool of huge pages served first');
  if (pages.by === 'none') t.match(pages, { reported: 4096 });
  else t.match(pages, { by: 'collapse', reported: 2 * MIB, pmdKib: bytes / 1024, hugetlbKib: 0 });
});

t.test('4 KiB: the last resort', async (t) => {
  const pages = await arenaBy(t, 'none');
  // Where the policy is `always` the kernel gives large pages unasked.
  if (pages.by === 'thp') t.match(pages, { reported: 2 * MIB, pmdKib: ARENA_BYTES / 1024 });
  else t.match(pages, { by: 'none', reported: 4096, hugetlbKib: 0 });
});

t.test('what the report says is what smaps says, whatever the machine gives', async (t) => {
  const pages = await arenaBy(t);
  const isHuge = pages.pmdKib + pages.hugetlbKib === ARENA_BYTES / 1024;
  t.equal(pages.reported, isHuge ? 2 * MIB : 4096);
  t.equal(pages.by === 'none', !isHuge);
});
