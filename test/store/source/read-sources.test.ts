import { LOOKUP_TIER } from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS, SEGMENT_NONE } from '@refill/store';
import t, { type Test } from 'tap';
import type { BlockSource, SourceTier } from '../../../packages/store/src/source/block-source.ts';
import { ReadSources } from '../../../packages/store/src/source/read-sources.ts';
import { SpareSlots } from '../../../packages/store/src/source/spare-slots.ts';
import { ManualClock, settle } from '../../fixtures/manual-clock.ts';
import { mulberry } from '../../fixtures/seeded-random.ts';

const BYTES = 64 * 1024;
const SHARED = 0xaa;
const NVME = 0xbb;

/** One call under way at a source that answers when told. */
interface Asked {
  rows: Uint32Array;
  count: number;
  deadlineMs: number;
  answer(status: (index: number) => number): void;
}

/** Sources that write their mark into simulated memory, and a check that no place has two writers at a time. */
class Sources {
  readonly clock = new ManualClock();
  /** What lies at each offset: the mark of who wrote it. */
  readonly memory = new Map<number, number>();
  readonly writing = new Map<number, string>();
  readonly asked = new Map<string, Asked[]>();
  readonly moves: [number, number][] = [];
  readonly spares: SpareSlots;
  readonly sources: ReadSources;
  allocated = 0;
  readonly t: Test;
  #next = 1000;

  constructor(t: Test, options: { nvme?: boolean } = {}) {
    this.t = t;
    this.spares = new SpareSlots({
      allocate: () => {
        this.allocated++;
        return { offset: this.#next++ * BYTES, bytes: new Uint8Array(0) };
      },
      free: (offset) => {
        t.notOk(this.writing.has(offset), 'nothing writes to memory that is freed');
        this.allocated--;
      },
    });
    this.sources = new ReadSources({
      clock: this.clock,
      shared: this.#source('shared', 'shared', SHARED),
      nvme: options.nvme ? this.#source('nvme', 'nvme', NVME) : undefined,
      peer: (slot) => (slot > 9 ? undefined : this.#source(`peer:${slot}`, 'peer', slot)),
      slots: {
        spares: this.spares,
        move: (from, to) => {
          this.moves.push([from, to]);
          return false;
        },
      },
    });
  }

  of(name: string): Asked {
    const asked = this.asked.get(name)?.shift();
    if (asked === undefined) throw new Error(`${name} was not asked`);
    return asked;
  }

  isAsked(name: string): boolean {
    return (this.asked.get(name)?.length ?? 0) > 0;
  }

  #source(name: string, tier: SourceTier, mark: number): BlockSource {
    return {
      name,
      tier,
      mayHold: (rows, row) =>
        tier === 'shared'
          ? rows[row + LOAD_ROW.segment] !== SEGMENT_NONE
          : tier === 'nvme'
            ? rows[row + LOAD_ROW.checksumLo] === NVME
            : (rows[row + LOAD_ROW.holdersLo]! & 0xffff) === mark ||
              rows[row + LOAD_ROW.holdersLo]! >>> 16 === mark,
      load: (rows, count, deadlineMs) =>
        new Promise((resolve) => {
          for (let i = 0; i < count; i++) {
            const offset = offsetAt(rows, i);
            this.t.notOk(this.writing.has(offset), `${name} is alone in writing at ${offset}`);
            this.writing.set(offset, name);
          }
          const list = this.asked.get(name) ?? [];
          this.asked.set(name, list);
          let isAnswered = false;
          const answer = (status: (index: number) => number): void => {
            if (isAnswered) return;
            isAnswered = true;
            for (let i = 0; i < count; i++) {
              const outcome = status(i);
              rows[i * LOAD_ROW_WORDS + LOAD_ROW.status] = outcome;
              if (outcome === LOAD_STATUS.done) this.memory.set(offsetAt(rows, i), mark);
              if (!(tier !== 'peer' && outcome === LOAD_STATUS.late)) this.writing.delete(offsetAt(rows, i));
            }
            resolve();
          };
          list.push({ rows, count, deadlineMs, answer });
          this.clock.after(deadlineMs, () => answer(() => LOAD_STATUS.late));
        }),
    };
  }
}

const tierAt = (rows: Uint32Array, index: number): number => rows[index * LOAD_ROW_WORDS + LOAD_ROW.tier]!;

function offsetAt(rows: Uint32Array, index: number): number {
  const row = index * LOAD_ROW_WORDS;
  return rows[row + LOAD_ROW.bufferOffsetHi]! * 2 ** 32 + rows[row + LOAD_ROW.bufferOffsetLo]!;
}

/** Blocks at offsets 0, 1, ... units; each with its holders, and in a segment unless `memoryOnly`. */
function rowsOf(
  blocks: { holders?: number[]; memoryOnly?: boolean; buffer?: number; local?: boolean }[],
): Uint32Array {
  const rows = new Uint32Array(blocks.length * LOAD_ROW_WORDS);
  blocks.forEach(({ holders = [], memoryOnly = false, buffer = 0, local = false }, i) => {
    const row = i * LOAD_ROW_WORDS;
    rows[row + LOAD_ROW.lengthBytes] = BYTES;
    rows[row + LOAD_ROW.segment] = memoryOnly ? SEGMENT_NONE : 1;
    rows[row + LOAD_ROW.buffer] = buffer;
    rows[row + LOAD_ROW.checksumLo] = local ? NVME : 0;
    rows[row + LOAD_ROW.bufferOffsetLo] = i * BYTES;
    rows[row + LOAD_ROW.holdersLo] = (holders[0] ?? 0) | ((holders[1] ?? 0) << 16);
  });
  return rows;
}

const statuses = (rows: Uint32Array): number[] =>
  Array.from({ length: rows.length / LOAD_ROW_WORDS }, (_, i) => rows[i * LOAD_ROW_WORDS + LOAD_ROW.status]!);
const all = (status: number) => () => status;

t.test('without holders all comes from the segments, in one call', async (t) => {
  const world = new Sources(t);
  const rows = rowsOf([{}, {}, {}]);
  const loading = world.sources.load(rows, 3, 1000);
  const asked = world.of('shared');
  t.equal(asked.count, 3);
  t.equal(asked.rows, rows, 'nothing is copied');
  asked.answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [1, 1, 1]);
});

t.test('a block that only a peer has is asked of the peer; one that nobody has is gone', async (t) => {
  const world = new Sources(t);
  const rows = rowsOf([{ holders: [3], memoryOnly: true }, { memoryOnly: true }]);
  const loading = world.sources.load(rows, 2, 1000);
  const asked = world.of('peer:3');
  t.equal(asked.count, 1);
  asked.answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done, LOAD_STATUS.gone]);
  t.equal(world.memory.get(0), 3);
});

t.test('what a peer does not have any more is read from the segments; the peer is not blamed', async (t) => {
  const world = new Sources(t);
  const rows = rowsOf([{ holders: [3] }, { holders: [3] }]);
  const loading = world.sources.load(rows, 2, 1000);
  world.of('peer:3').answer((i) => (i === 0 ? LOAD_STATUS.done : LOAD_STATUS.gone));
  await settle();
  const rest = world.of('shared');
  t.equal(rest.count, 1);
  t.equal(offsetAt(rest.rows, 0), BYTES, 'into the same memory');
  rest.answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [1, 1]);
  t.match(world.sources.counters, { hedges: 0, fallbacks: 1 });
  t.match(
    world.sources.readings().find(({ name }) => name === 'peer:3'),
    { failures: 0, suspendedMs: 0 },
  );
});

t.test('a dead peer costs its patience, not the deadline, and is left alone after that', async (t) => {
  const world = new Sources(t);
  const rows = rowsOf([{ holders: [3] }]);
  const loading = world.sources.load(rows, 1, 5000);
  t.ok(world.of('peer:3').deadlineMs < 500, 'its patience is short');
  await world.clock.advance(100);
  const rest = world.of('shared');
  t.ok(rest.deadlineMs > 4000, 'the rest of the deadline is for the segments');
  rest.answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done]);
  t.match(world.sources.counters, { hedges: 1, fallbacks: 1 });
  const next = world.sources.load(rowsOf([{ holders: [3] }]), 1, 5000);
  t.notOk(world.isAsked('peer:3'), 'not asked while it is suspended');
  world.of('shared').answer(all(LOAD_STATUS.done));
  await next;
});

t.test('wrong bytes from a peer are read again from the segments', async (t) => {
  const world = new Sources(t);
  const rows = rowsOf([{ holders: [3] }]);
  const loading = world.sources.load(rows, 1, 1000);
  world.of('peer:3').answer(all(LOAD_STATUS.corrupt));
  await settle();
  world.of('shared').answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done]);
  t.equal(world.memory.get(0), SHARED);
});

/** Makes the peer look slow, so that the segments are the first choice. */
async function preferShared(world: Sources): Promise<void> {
  for (let i = 0; i < 30; i++) {
    const loading = world.sources.load(rowsOf([{ holders: [3], memoryOnly: true }]), 1, 10_000);
    await world.clock.advance(15);
    world.of('peer:3').answer(all(LOAD_STATUS.done));
    await loading;
  }
}

t.test('segments that are late are hedged by a peer, into another slot', async (t) => {
  const world = new Sources(t);
  await preferShared(world);
  const rows = rowsOf([{ holders: [3] }, {}]);
  const loading = world.sources.load(rows, 2, 10_000);
  const slow = world.of('shared');
  t.equal(slow.count, 2);
  await world.clock.advance(200);
  const hedge = world.of('peer:3');
  t.equal(hedge.count, 1, 'only what the peer may have');
  t.not(offsetAt(hedge.rows, 0), 0, 'not into the memory that the segments may write to');
  hedge.answer(all(LOAD_STATUS.done));
  await settle();
  slow.answer((i) => (i === 0 ? LOAD_STATUS.late : LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done, LOAD_STATUS.done]);
  t.equal(world.memory.get(offsetAt(rows, 0)), 3, 'the row leads to the bytes of the peer');
  t.equal(world.memory.get(offsetAt(rows, 1)), SHARED);
  t.same(world.moves, [[0, offsetAt(rows, 0)]]);
  t.equal(world.spares.size, 1, 'the old slot belongs to the kernel');
  world.writing.delete(0);
  world.spares.release(0);
  t.equal(world.spares.size, 0, 'until it lets go');
  t.match(world.sources.counters, { hedges: 1 });
});

t.test('a call whose blocks the hedge has all brought does not wait for the segments', async (t) => {
  const world = new Sources(t);
  await preferShared(world);
  const rows = rowsOf([{ holders: [3] }]);
  const loading = world.sources.load(rows, 1, 10_000);
  const slow = world.of('shared');
  await world.clock.advance(200);
  world.of('peer:3').answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done]);
  t.equal(world.spares.size, 1);
  slow.answer(all(LOAD_STATUS.done));
  await settle();
  t.equal(world.spares.size, 0, 'the slot is freed when the slow read ends');
});

t.test('segments that come while the hedge is under way win, and its slot is freed', async (t) => {
  const world = new Sources(t);
  await preferShared(world);
  const rows = rowsOf([{ holders: [3] }]);
  const loading = world.sources.load(rows, 1, 10_000);
  const slow = world.of('shared');
  await world.clock.advance(200);
  const hedge = world.of('peer:3');
  slow.answer(all(LOAD_STATUS.done));
  await loading;
  t.equal(offsetAt(rows, 0), 0);
  t.equal(world.memory.get(0), SHARED);
  t.equal(world.allocated, 1);
  hedge.answer(all(LOAD_STATUS.done));
  await settle();
  t.equal(world.allocated, 0);
  t.same(world.moves, []);
});

t.test('a place in a region is not hedged: there is no other', async (t) => {
  const world = new Sources(t);
  await preferShared(world);
  const rows = rowsOf([{ holders: [3], buffer: 7 }]);
  const loading = world.sources.load(rows, 1, 1000);
  const slow = world.of('shared');
  await world.clock.advance(500);
  t.notOk(world.isAsked('peer:3'));
  slow.answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done]);
});

t.test('the local disk is read before the segments, and what it has not comes from them', async (t) => {
  const world = new Sources(t, { nvme: true });
  const rows = rowsOf([{ local: true }, {}, { local: true }]);
  const loading = world.sources.load(rows, 3, 1000);
  world.of('shared').answer(all(LOAD_STATUS.done));
  const local = world.of('nvme');
  t.equal(local.count, 2, 'both at a time');
  local.answer((i) => (i === 0 ? LOAD_STATUS.done : LOAD_STATUS.gone));
  await settle();
  const rest = world.of('shared');
  t.equal(rest.count, 1);
  t.equal(offsetAt(rest.rows, 0), 2 * BYTES, 'into the same memory');
  rest.answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [1, 1, 1]);
  t.same(
    [0, 1, 2].map((i) => tierAt(rows, i)),
    [LOOKUP_TIER.nvme, LOOKUP_TIER.shared, LOOKUP_TIER.shared],
  );
  t.match(world.sources.counters, { hedges: 0, fallbacks: 1 });
  t.match(
    world.sources.readings().find(({ name }) => name === 'nvme'),
    { failures: 0 },
    'a copy that is gone is no failure of the disk',
  );
});

t.test('a local disk that hangs is hedged once by the segments, and left alone after that', async (t) => {
  const world = new Sources(t, { nvme: true });
  const rows = rowsOf([{ local: true }]);
  const loading = world.sources.load(rows, 1, 5000);
  const hung = world.of('nvme');
  await world.clock.advance(50);
  const hedge = world.of('shared');
  t.not(offsetAt(hedge.rows, 0), 0, 'not into the memory that the disk may write to');
  hedge.answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done]);
  t.equal(world.memory.get(offsetAt(rows, 0)), SHARED);
  t.equal(tierAt(rows, 0), LOOKUP_TIER.shared);
  t.match(world.sources.counters, { hedges: 1, fallbacks: 0 });
  const again = rowsOf([{ local: true }]);
  again[LOAD_ROW.bufferOffsetLo] = 9 * BYTES;
  const next = world.sources.load(again, 1, 5000);
  t.notOk(world.isAsked('nvme'), 'not asked while it is suspended');
  hung.answer(all(LOAD_STATUS.late));
  await settle();
  t.equal(world.spares.size, 1, 'the old slot belongs to the kernel');
  world.writing.delete(0);
  world.spares.release(0);
  t.equal(world.spares.size, 0);
  world.of('shared').answer(all(LOAD_STATUS.done));
  await next;
});

t.test('reads that fail on the local disk are made again from the segments', async (t) => {
  const world = new Sources(t, { nvme: true });
  const rows = rowsOf([{ local: true, buffer: 7 }]);
  const loading = world.sources.load(rows, 1, 1000);
  world.of('nvme').answer(all(LOAD_STATUS.failed));
  await settle();
  world.of('shared').answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done]);
  t.match(
    world.sources.readings().find(({ name }) => name === 'nvme'),
    { failures: 1, loads: 1 },
  );
});

t.test('segments that are late are hedged by the local disk, whose late slot is kept from use', async (t) => {
  const world = new Sources(t, { nvme: true });
  // The disk is measured to be slow, so that the segments are the first choice.
  for (let i = 0; i < 30; i++) {
    const loading = world.sources.load(rowsOf([{ local: true, memoryOnly: true }]), 1, 10_000);
    await world.clock.advance(15);
    world.of('nvme').answer(all(LOAD_STATUS.done));
    await loading;
  }
  const rows = rowsOf([{ local: true }]);
  const loading = world.sources.load(rows, 1, 10_000);
  const slow = world.of('shared');
  await world.clock.advance(200);
  const hedge = world.of('nvme');
  const spare = offsetAt(hedge.rows, 0);
  hedge.answer(all(LOAD_STATUS.late));
  slow.answer(all(LOAD_STATUS.done));
  await loading;
  t.same(statuses(rows), [LOAD_STATUS.done]);
  t.equal(offsetAt(rows, 0), 0);
  t.equal(world.allocated, 1, 'the kernel may still write to it');
  world.writing.delete(spare);
  world.spares.release(spare);
  t.equal(world.allocated, 0);
});

t.test(
  'segments that fail at once, or after the hedge, leave no memory behind and no wrong outcome',
  async (t) => {
    const seed = Number(process.env.REFILL_SEED ?? 1);
    t.comment(`REFILL_SEED=${seed}`);
    const random = mulberry(seed);
    const outcomes = [
      LOAD_STATUS.done,
      LOAD_STATUS.late,
      LOAD_STATUS.gone,
      LOAD_STATUS.failed,
      LOAD_STATUS.corrupt,
    ];
    for (let round = 0; round < 400; round++) {
      const world = new Sources(
        { ...t, notOk: (value: unknown, what: string) => value && t.fail(what) } as never,
        { nvme: random() < 0.7 },
      );
      const blocks = Array.from({ length: 1 + Math.floor(random() * 6) }, () => ({
        holders: random() < 0.7 ? [1 + Math.floor(random() * 3), random() < 0.5 ? 5 : 0] : [],
        memoryOnly: random() < 0.2,
        local: random() < 0.5,
      }));
      const rows = rowsOf(blocks);
      let isSettled = false;
      const loading = world.sources.load(rows, blocks.length, 2000).then(() => {
        isSettled = true;
      });
      for (let step = 0; step < 200 && !isSettled; step++) {
        for (const list of world.asked.values()) {
          if (random() > 0.3) continue;
          list.shift()?.answer(() => outcomes[Math.floor(random() * outcomes.length)]!);
        }
        await world.clock.advance(random() * 60);
      }
      await loading;
      await world.clock.advance(5000);
      const final = statuses(rows);
      for (const [i, status] of final.entries()) {
        if (status === LOAD_STATUS.pending) t.fail(`round ${round}: row ${i} has no outcome`);
        if (status !== LOAD_STATUS.done) continue;
        const mark = world.memory.get(offsetAt(rows, i));
        const { memoryOnly, local, holders } = blocks[i]!;
        const may = mark === SHARED ? !memoryOnly : mark === NVME ? local : holders.includes(mark ?? -1);
        const from = { [SHARED]: LOOKUP_TIER.shared, [NVME]: LOOKUP_TIER.nvme }[mark!] ?? LOOKUP_TIER.peer;
        if (tierAt(rows, i) !== from) t.fail(`round ${round}: row ${i} says that it came from elsewhere`);
        if (!may) t.fail(`round ${round}: row ${i} is done with bytes of ${mark}`);
      }
      // What is left belongs to reads of files that were late, and to the kernel.
      for (const offset of [...world.writing.keys()]) {
        world.writing.delete(offset);
        world.spares.release(offset);
      }
      if (world.spares.size !== 0) t.fail(`round ${round}: ${world.spares.size} slots leaked`);
    }
    t.pass('400 histories');
  },
);
