import { LOAD_ROW, LOAD_ROW_WORDS } from '@refill/store';
import t from 'tap';
import type { BlockSource } from '../../../packages/store/src/source/block-source.ts';
import { type Candidate, planReads } from '../../../packages/store/src/source/plan-reads.ts';
import { SourceGauge } from '../../../packages/store/src/source/source-gauge.ts';

const MIB = 1024 * 1024;

/** A source that holds the blocks whose `holdersLo` has its bit. */
function candidate(bit: number, latencyMs: number, bytesPerMs: number, isSuspended = false): Candidate {
  const source: BlockSource = {
    name: `source ${bit}`,
    tier: 'peer',
    mayHold: (rows, row) => (rows[row + LOAD_ROW.holdersLo]! & (1 << bit)) !== 0,
    load: async () => {},
  };
  return { source, gauge: new SourceGauge({ latencyMs, bytesPerMs }), isSuspended };
}

function rowsOf(holders: number[], lengthBytes: number): Uint32Array {
  const rows = new Uint32Array(holders.length * LOAD_ROW_WORDS);
  holders.forEach((bits, i) => {
    rows[i * LOAD_ROW_WORDS + LOAD_ROW.lengthBytes] = lengthBytes;
    rows[i * LOAD_ROW_WORDS + LOAD_ROW.holdersLo] = bits;
  });
  return rows;
}

t.test('a short read comes whole from the nearest', async (t) => {
  const candidates = [candidate(0, 5, 4 * MIB), candidate(1, 0.5, 2 * MIB)];
  const plan = planReads(rowsOf([3, 3, 3], 64 * 1024), 3, candidates);
  t.same([...plan.sourceOf], [1, 1, 1]);
  t.same([...plan.bytes], [0, 3 * 64 * 1024]);
});

t.test('a long prefix flows from several, in the measure of what each gives', async (t) => {
  const candidates = [candidate(0, 1, MIB), candidate(1, 1, 3 * MIB)];
  const plan = planReads(rowsOf(new Array(256).fill(3), MIB), 256, candidates);
  t.ok(plan.bytes[1]! / plan.bytes[0]! > 2.5 && plan.bytes[1]! / plan.bytes[0]! < 3.5, String(plan.bytes));
  t.ok(Math.abs(plan.finishMs[0]! - plan.finishMs[1]!) < 8, 'both end at about the same time');
  let runs = 1;
  for (let i = 1; i < 256; i++) if (plan.sourceOf[i] !== plan.sourceOf[i - 1]) runs++;
  t.ok(runs <= 64, 'neighbours stay together in chunks');
});

t.test('each block goes only to a source that may hold it', async (t) => {
  const candidates = [candidate(0, 1, MIB), candidate(1, 100, 1)];
  const holders = [1, 2, 3, 0, 2];
  const plan = planReads(rowsOf(holders, 1000), holders.length, candidates);
  t.same([...plan.sourceOf], [0, 1, 0, -1, 1]);
});

t.test('what is queued at a source drives blocks to another', async (t) => {
  const candidates = [candidate(0, 1, MIB), candidate(1, 2, MIB)];
  candidates[0]!.gauge.begin(64 * MIB, 0);
  t.same([...planReads(rowsOf([3], 1000), 1, candidates).sourceOf], [1]);
});

t.test('a source that failed lately is taken only for what nobody else has', async (t) => {
  const candidates = [candidate(0, 1, 8 * MIB, true), candidate(1, 50, MIB / 8)];
  t.same([...planReads(rowsOf([3, 1, 3], MIB), 3, candidates).sourceOf], [1, 0, 1]);
});

t.test('each block has its own time, in the order in which its source delivers', async (t) => {
  const candidates = [candidate(0, 1, 1000), candidate(1, 5, 500)];
  const plan = planReads(rowsOf([1, 1, 2, 0, 1], 1000), 5, candidates);
  t.same([...plan.readyMs], [2, 3, 7, 0, 4]);
  t.same([...plan.finishMs], [4, 7]);
  t.same([...plan.blocks], [3, 1]);
});

t.test('an estimate of a source that failed lately is its own, not how much it is avoided', async (t) => {
  const plan = planReads(rowsOf([1], 1000), 1, [candidate(0, 1, 1000, true)]);
  t.same([...plan.readyMs], [2]);
});
