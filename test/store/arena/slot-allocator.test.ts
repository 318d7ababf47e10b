import { OWNER_NONE, SlotAllocator } from '@refill/store';
import t from 'tap';
import { seededRandom } from '../../fixtures/seeded-random.ts';

const UNIT = 65_536;
const random = seededRandom(t);

t.test('slots never overlap, never cross a pane, and all room comes back', async (t) => {
  const paneUnits = 512;
  const allocator = new SlotAllocator([paneUnits * UNIT, paneUnits * UNIT, 100 * UNIT + 5000]);
  t.equal(allocator.units, 2 * paneUnits + 100, 'what does not fill a unit is left out');
  const owners = new Int32Array(allocator.units).fill(-1);
  const slots: { unit: number; units: number; owner: number }[] = [];
  let used = 0;
  for (let step = 0; step < 30_000; step++) {
    if (random() < 0.55) {
      const units = random() < 0.8 ? 1 + ((random() * 8) | 0) : 1 + ((random() * 200) | 0);
      const unit = allocator.allocate(units, step);
      if (unit < 0) continue;
      if (Math.floor(unit / paneUnits) !== Math.floor((unit + units - 1) / paneUnits))
        return t.fail('crosses a pane');
      for (let at = unit; at < unit + units; at++) {
        if (owners[at] !== -1) return t.fail(`step ${step}: unit ${at} is given out twice`);
        owners[at] = step;
      }
      used += units;
      slots.push({ unit, units, owner: step });
    } else if (slots.length > 0) {
      const [slot] = slots.splice((random() * slots.length) | 0, 1);
      if (allocator.ownerOf(slot!.unit) !== slot!.owner || allocator.sizeOf(slot!.unit) !== slot!.units)
        return t.fail('tag');
      owners.fill(-1, slot!.unit, slot!.unit + slot!.units);
      used -= slot!.units;
      allocator.free(slot!.unit);
    }
    if (allocator.freeUnits !== allocator.units - used)
      return t.fail(`step ${step}: ${allocator.freeUnits} units free`);
    if (step % 500 === 0) allocator.check();
  }
  for (const { unit } of slots) allocator.free(unit);
  allocator.check();
  t.equal(allocator.freeUnits, allocator.units);
  for (const units of [paneUnits, paneUnits, 100])
    t.not(allocator.allocate(units, OWNER_NONE), -1, 'everything is merged');
  t.equal(allocator.allocate(1, OWNER_NONE), -1);
});

t.test('an arena of mixed sizes fills up before a block of common size finds no room', async (t) => {
  const allocator = new SlotAllocator([16_384 * UNIT]);
  const slots: number[] = [];
  const sizes = [1, 1, 4, 16, 16, 64];
  // A long life of random replacement first: fragmentation shows only after churn.
  for (let step = 0; step < 100_000; step++) {
    const units = sizes[(random() * sizes.length) | 0]!;
    let unit = allocator.allocate(units, 0);
    while (unit < 0) {
      allocator.free(slots.splice((random() * slots.length) | 0, 1)[0]!);
      unit = allocator.allocate(units, 0);
    }
    slots.push(unit);
  }
  t.ok(
    allocator.freeUnits / allocator.units < 0.25,
    `${allocator.freeUnits} units are free when 64 do not fit`,
  );
  allocator.check();
});

t.test('refuses what cannot be a slot', async (t) => {
  const allocator = new SlotAllocator([8 * UNIT]);
  t.equal(allocator.allocate(9, 0), -1);
  t.equal(allocator.allocate(0, 0), -1);
  const unit = allocator.allocate(8, 0);
  allocator.free(unit);
  t.throws(() => allocator.free(unit), /invariant/, 'a slot is freed once');
  t.throws(() => new SlotAllocator([]), /invariant/);
  t.throws(() => new SlotAllocator([8 * UNIT, 9 * UNIT]), /invariant/);
});
