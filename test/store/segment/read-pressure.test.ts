import t from 'tap';
import { ReadPressure } from '../../../packages/store/src/segment/read-pressure.ts';
import { ManualClock } from '../../fixtures/manual-clock.ts';

t.test('pressure is high while anybody reads, and for two milliseconds after the last', async (t) => {
  const clock = new ManualClock();
  const pressure = new ReadPressure(clock);
  t.equal(pressure.high, false, 'before the first read');
  pressure.enter();
  pressure.enter();
  await clock.advance(1000);
  pressure.leave();
  await clock.advance(1000);
  t.equal(pressure.high, true, 'one still reads');
  pressure.leave();
  await clock.advance(1.9);
  t.equal(pressure.high, true, 'the next request of a client is on its way');
  await clock.advance(0.1);
  t.equal(pressure.high, false);
  pressure.enter();
  t.equal(pressure.high, true);
});
