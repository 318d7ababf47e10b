import t from 'tap';
import { SpaceBackoff } from '../../../packages/store/src/segment/space-backoff.ts';
import { ManualClock } from '../../fixtures/manual-clock.ts';

t.test('pauses double from a second to a minute, and start anew after a success', async (t) => {
  const clock = new ManualClock();
  const space = new SpaceBackoff(clock);
  t.equal(space.blocked, false);
  for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
    space.full();
    space.full();
    await clock.advance(pauseMs - 1);
    t.equal(space.blocked, true, `${pauseMs} ms, whoever else finds it full meanwhile`);
    await clock.advance(1);
    t.equal(space.blocked, false);
  }
  space.full();
  space.succeeded();
  t.equal(space.blocked, false);
  space.full();
  await clock.advance(1_000);
  t.equal(space.blocked, false);
});
