import t from 'tap';
import { doneBy } from '../../../packages/store/src/node/deadline.ts';
import { ManualClock } from '../../fixtures/manual-clock.ts';

t.test('work that is done in time leaves no timer', async (t) => {
  const clock = new ManualClock();
  t.equal(await doneBy(clock, 10, Promise.resolve()), true);
  t.equal(clock.pending, 0);
  await t.rejects(doneBy(clock, 10, Promise.reject(new Error('broken'))), { message: 'broken' });
  t.equal(clock.pending, 0);
});

t.test('work that is not done in time is left to itself', async (t) => {
  const clock = new ManualClock();
  let fail = (_error: Error): void => {};
  const work = new Promise((_, reject) => {
    fail = reject;
  });
  const waiting = doneBy(clock, 10, work);
  await clock.advance(10);
  t.equal(await waiting, false);
  fail(new Error('too late for anybody'));
  await t.rejects(work);
  const past = doneBy(clock, 5, new Promise(() => {}));
  await clock.advance(0);
  t.equal(await past, false, 'a time that has passed is now');
});
