import t from 'tap';
import { SpareSlots } from '../../../packages/store/src/source/spare-slots.ts';
import { SimScratch } from '../../fixtures/sim-scratch.ts';

const LENGTH = 8192;

function slotsOf() {
  const scratch = new SimScratch(new Uint8Array(2 * LENGTH), 0, 2 * LENGTH);
  return { scratch, spares: new SpareSlots(scratch) };
}

t.test(
  'a slot is taken while there is room, kept by its block, or free again when its read has settled',
  (t) => {
    const { scratch, spares } = slotsOf();
    const first = spares.take(LENGTH)!;
    t.equal(spares.take(LENGTH), LENGTH);
    t.equal(spares.take(1), undefined);
    t.equal(spares.size, 2);
    spares.keep(LENGTH);
    spares.settle(first, false);
    t.match({ taken: scratch.taken, left: spares.size }, { taken: 1, left: 0 });
    t.equal(spares.take(1), first);
    t.equal(scratch.taken, 2);
    t.end();
  },
);

t.test('a slot that was left is free when nothing writes to it any more, whatever ends first', (t) => {
  type Step = ['settle', boolean] | ['release'];
  const cases: { what: string; isReleased: boolean; steps: Step[] }[] = [
    { what: 'the read ended in time', isReleased: false, steps: [['settle', false]] },
    { what: 'late, then let go of', isReleased: false, steps: [['settle', true], ['release']] },
    { what: 'let go of, then known to be late', isReleased: false, steps: [['release'], ['settle', true]] },
    { what: 'let go of before it was left', isReleased: true, steps: [['settle', true]] },
    { what: 'let go of twice', isReleased: true, steps: [['release'], ['settle', true]] },
  ];
  for (const { what, isReleased, steps } of cases) {
    const { scratch, spares } = slotsOf();
    const offset = spares.take(LENGTH)!;
    spares.keep(offset);
    spares.leave(offset, isReleased);
    for (const step of steps) {
      t.match({ taken: scratch.taken, left: spares.size }, { taken: 1, left: 1 }, what);
      if (step[0] === 'settle') spares.settle(offset, step[1]);
      else spares.release(offset);
    }
    t.match({ taken: scratch.taken, left: spares.size }, { taken: 0, left: 0 }, what);
  }
  t.end();
});

t.test('a slot is left once and its read settles once; memory of others is no concern', (t) => {
  const { spares } = slotsOf();
  const offset = spares.take(LENGTH)!;
  spares.keep(offset);
  t.throws(() => spares.keep(offset), { message: /kept that was taken/ });
  t.doesNotThrow(() => spares.release(offset), 'not left');
  t.throws(() => spares.settle(offset, false), { message: /settles once/ });
  spares.leave(offset, false);
  t.throws(() => spares.leave(offset, false), { message: /left once/ });
  spares.settle(offset, true);
  t.throws(() => spares.settle(offset, true), { message: /settles once/ });
  t.end();
});
