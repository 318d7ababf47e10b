import t from 'tap';
import { Pins } from '../../../packages/store/src/arena/pins.ts';
import { seededRandom } from '../../fixtures/seeded-random.ts';

const random = seededRandom(t);

t.test('behaves as a Map of counts', async (t) => {
  const pins = new Pins();
  const model = new Map<number, number>();
  for (let step = 0; step < 50_000; step++) {
    const id = (random() * 300) | 0;
    const count = model.get(id) ?? 0;
    if (random() < 0.5) {
      pins.add(id);
      model.set(id, count + 1);
    } else {
      if (pins.remove(id) !== count > 0) return t.fail(`step ${step}`);
      if (count > 1) model.set(id, count - 1);
      else model.delete(id);
    }
    if (pins.countOf(id) !== (model.get(id) ?? 0)) return t.fail(`step ${step}`);
  }
  const left = new Map<number, number>();
  pins.forEach((id, count) => {
    left.set(id, count);
  });
  t.same(left, model);
  t.equal(
    pins.total,
    [...model.values()].reduce((sum, count) => sum + count, 0),
  );
  t.equal(pins.countOf(0xffffffff), 0, 'a handle that cannot be is not there');
  pins.clear();
  t.equal(pins.total, 0);
});
