import t from 'tap';
import { ReadPressure } from '../../../packages/store/src/segment/read-pressure.ts';
import { WriteGate } from '../../../packages/store/src/segment/write-gate.ts';
import { ManualClock } from '../../fixtures/manual-clock.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

t.test('few bytes are in flight while somebody reads, and first come is first served', async (t) => {
  const clock = new ManualClock();
  const pressure = new ReadPressure(clock);
  const gate = new WriteGate(pressure, { idleBytes: 100, yieldingBytes: 20, yieldingSliceBytes: 10 });
  t.equal(gate.sliceBytes, 100);
  t.equal(gate.enter(60), undefined);
  t.equal(gate.enter(40), undefined);
  const entered: number[] = [];
  void Promise.resolve(gate.enter(70)).then(() => entered.push(70));
  void Promise.resolve(gate.enter(1)).then(() => entered.push(1));
  await settle();
  t.same(entered, [], 'a small one does not overtake');
  pressure.enter();
  t.equal(gate.sliceBytes, 10);
  gate.leave(60);
  await settle();
  t.same(entered, []);
  gate.leave(40);
  await settle();
  t.same(entered, [70], 'one always may, however long');
  pressure.leave();
  await clock.advance(1);
  t.equal(pressure.high, true, 'a burst has gaps');
  await clock.advance(1);
  t.equal(pressure.high, false);
  gate.leave(70);
  await settle();
  t.same(entered, [70, 1]);
});
