import { Residency } from '@refill/metadata';
import t from 'tap';
import { seededRandom } from '../../fixtures/seeded-random.ts';

function holdersOf(table: Residency, low: number, high: number): number[] {
  const rows = new Uint32Array(2);
  const any = table.holders(low, high, rows, 0);
  const slots = [rows[0]! & 0xffff, rows[0]! >>> 16, rows[1]! & 0xffff, rows[1]! >>> 16].filter(
    (slot) => slot > 0,
  );
  t.equal(any, slots.length > 0);
  return slots.sort((a, b) => a - b);
}

t.test('what is noted is what is answered, whatever comes and goes', async (t) => {
  const random = seededRandom(t);
  const table = new Residency();
  const model = new Map<string, Set<number>>();
  const live = new Set<number>();
  let nextSlot = 1;
  for (let step = 0; step < 200_000; step++) {
    if (live.size < 3 || (live.size < 8 && random() < 0.001)) {
      table.admit(nextSlot);
      live.add(nextSlot++);
    }
    const slots = [...live];
    const slot = slots[Math.floor(random() * slots.length)]!;
    if (random() < 0.0003) {
      table.retire(slot);
      live.delete(slot);
      for (const holders of model.values()) holders.delete(slot);
      continue;
    }
    if (random() < 0.01) table.sweep(16);
    // Few high words, so that parts are full of neighbours.
    const low = Math.floor(random() * 300) * 2;
    const high = Math.floor(random() * 8) * 0x123456 + 1;
    const holders = model.get(`${low}/${high}`) ?? new Set<number>();
    model.set(`${low}/${high}`, holders);
    if (random() < 0.5) {
      table.add(low, high, slot);
      if (holders.size < 4) holders.add(slot);
    } else {
      table.remove(low, high, slot);
      holders.delete(slot);
    }
  }
  let wrong = 0;
  const rows = new Uint32Array(2);
  for (const [name, holders] of model) {
    const [low, high] = name.split('/').map(Number) as [number, number];
    table.holders(low, high, rows, 0);
    const slots = [rows[0]! & 0xffff, rows[0]! >>> 16, rows[1]! & 0xffff, rows[1]! >>> 16].filter(
      (one) => one > 0,
    );
    if (slots.sort((a, b) => a - b).join() !== [...holders].sort((a, b) => a - b).join()) wrong++;
  }
  t.equal(wrong, 0);
  while (table.sweep(1024));
  t.equal(table.size, [...model.values()].filter(({ size }) => size > 0).length, 'nothing else is kept');
});

t.test('an entry takes at most 24 bytes', async (t) => {
  const random = seededRandom(t);
  const table = new Residency();
  table.admit(1);
  for (let i = 0; i < 500_000; i++) table.add((random() * 2 ** 32) & ~1, random() * 2 ** 32, 1);
  t.ok(table.bytes / table.size <= 24, `${table.bytes / table.size} bytes`);
});

t.test('four holders are named, and a place is free again when one goes', async (t) => {
  const table = new Residency();
  for (let slot = 1; slot <= 6; slot++) table.admit(slot);
  for (let slot = 1; slot <= 5; slot++) table.add(2, 3, slot);
  t.same(holdersOf(table, 2, 3), [1, 2, 3, 4]);
  table.retire(2);
  t.same(holdersOf(table, 2, 3), [1, 3, 4]);
  table.add(2, 3, 6);
  t.same(holdersOf(table, 2, 3), [1, 3, 4, 6]);
  t.throws(() => table.add(2, 3, 2), /only a live member/);
});
