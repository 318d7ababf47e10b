import { BLOCK_FLAG, type BlockIO } from '@refill/interface';
import { type SharedTierCounters, STORE_ROW, STORE_ROW_WORDS } from '@refill/store';
import t from 'tap';
import { batchHeaderBytes, entriesEnd } from '../../../packages/store/src/segment/batch-header.ts';
import { compressPlan, placePlan, planBatch } from '../../../packages/store/src/segment/batch-plan.ts';
import type { Pick } from '../../../packages/store/src/segment/put-queue.ts';
import { ENTRY, ENTRY_WORDS } from '../../../packages/store/src/segment/segment-format.ts';
import { MemoryIO } from '../../fixtures/memory-io.ts';
import { mulberry } from '../../fixtures/seeded-random.ts';
import { SimScratch } from '../../fixtures/sim-scratch.ts';

const ARENA_BYTES = 1 << 20;
const SCRATCH_FROM = 1 << 19;
const HIGH_OFFSET = 3 * 2 ** 32 + 12_288;

/** A pick of rows with these lengths; block `i` lies at `offsets[i]` of buffer `i`. */
function pickOf(
  lengths: number[],
  { flags = 0, offsets = lengths.map((_, i) => i * 65_536), buffer = 0 } = {},
): Pick {
  const rows = new Uint32Array(lengths.length * STORE_ROW_WORDS);
  for (const [i, lengthBytes] of lengths.entries()) {
    const row = i * STORE_ROW_WORDS;
    rows.fill(100 + i, row + STORE_ROW.key, row + STORE_ROW.key + 8);
    rows.fill(200 + i, row + STORE_ROW.parent, row + STORE_ROW.parent + 8);
    rows[row + STORE_ROW.lengthBytes] = lengthBytes;
    rows[row + STORE_ROW.tokens] = 16 + i;
    rows[row + STORE_ROW.family] = 5;
    rows[row + STORE_ROW.shard] = i;
    rows[row + STORE_ROW.buffer] = buffer;
    rows[row + STORE_ROW.bufferOffsetLo] = offsets[i]! >>> 0;
    rows[row + STORE_ROW.bufferOffsetHi] = Math.floor(offsets[i]! / 2 ** 32);
  }
  const request = { rows, flags, remaining: lengths.length, resolve: () => {} };
  return {
    flags,
    attempts: 0,
    requests: lengths.map(() => request),
    rowIndexes: lengths.map((_, i) => i),
    urgent: false,
  };
}

const entryOf = (entries: Uint32Array, i: number, field: keyof typeof ENTRY): number =>
  entries[i * ENTRY_WORDS + ENTRY[field]]!;

t.test('a plan says of every block what its put said, and where its payload lies', async (t) => {
  const plan = planBatch(pickOf([5000, 4096], { buffer: 7, offsets: [0, HIGH_OFFSET] }));
  t.equal(plan.blocks, 2);
  t.equal(plan.totalBytes, batchHeaderBytes(2) + 8192 + 4096);
  t.same([...plan.buffers], [7, 7]);
  t.same([...plan.bufferOffsets], [0, HIGH_OFFSET], 'an offset of more than 32 bits too');
  for (const [field, expected] of [
    ['key', [100, 101]],
    ['parent', [200, 201]],
    ['tokens', [16, 17]],
    ['family', [5, 5]],
    ['shard', [0, 1]],
    ['lengthBytes', [5000, 4096]],
    ['storedBytes', [5000, 4096]],
    ['flags', [0, 0]],
  ] as const) {
    t.same([entryOf(plan.entries, 0, field), entryOf(plan.entries, 1, field)], expected, field);
  }
});

t.test(
  'payloads are placed one behind the other, in whole pages, as a header must describe them',
  async (t) => {
    const plan = planBatch(pickOf([5000, 1, 4096]));
    placePlan(plan, 40_960);
    const first = (40_960 + plan.headerBytes) / 4096;
    t.same(
      [0, 1, 2].map((i) => entryOf(plan.entries, i, 'offsetPages')),
      [first, first + 2, first + 3],
    );
    t.equal(entriesEnd(plan.entries, 3, 40_960 + plan.headerBytes), 40_960 + plan.totalBytes);
  },
);

t.test('tombstones have a key and say what they bury, and have no payload', async (t) => {
  const plan = planBatch(pickOf([5000, 6000], { flags: BLOCK_FLAG.tombstone }));
  placePlan(plan, 4096);
  t.equal(plan.totalBytes, plan.headerBytes);
  t.equal(entriesEnd(plan.entries, 2, 4096 + plan.headerBytes), 4096 + plan.totalBytes);
  t.same([entryOf(plan.entries, 1, 'key'), entryOf(plan.entries, 1, 'parent')], [101, 201]);
});

t.test('what shrinks is replaced by its compressed form, the rest and what finds no room stay', async (t) => {
  const io = new MemoryIO([ARENA_BYTES]);
  const [shrinks, random, noRoom] = [0, 1, 2].map((i) =>
    io.panes[0]!.subarray(i * 65_536, i * 65_536 + 40_000),
  );
  // Every exponent alike; every byte another; alike again, with no scratch memory left.
  shrinks!.fill(0x3f);
  const drawn = mulberry(1);
  for (let i = 0; i < random!.length; i++) random![i] = drawn() * 256;
  noRoom!.fill(0x3f);
  const scratch = new SimScratch(io.panes[0]!, SCRATCH_FROM, SCRATCH_FROM + 24_576);
  const counters = { compressibleBytes: 0, compressedBytes: 0 } as SharedTierCounters;
  const plan = planBatch(pickOf([40_000, 40_000, 40_000]));
  const before = plan.totalBytes;
  await compressPlan(plan, 'bfloat16', { io: io as unknown as BlockIO, scratch, counters });

  const stored = [0, 1, 2].map((i) => entryOf(plan.entries, i, 'storedBytes'));
  t.ok(stored[0]! > 20_000 && stored[0]! <= 20_480, `${stored[0]} bytes: the mantissas stay`);
  t.same(stored.slice(1), [40_000, 40_000]);
  t.same(
    [0, 1, 2].map((i) => entryOf(plan.entries, i, 'flags')),
    [BLOCK_FLAG.compressed, 0, 0],
  );
  t.same([...plan.bufferOffsets], [SCRATCH_FROM, 65_536, 131_072]);
  t.same(plan.scratch, [{ offset: SCRATCH_FROM, lengthBytes: 20_480 }]);
  t.equal(plan.totalBytes, before - 40_960 + 20_480);
  t.equal(counters.compressibleBytes, 120_000);
  placePlan(plan, 4096);
  t.equal(entriesEnd(plan.entries, 3, 4096 + plan.headerBytes), 4096 + plan.totalBytes);
});
