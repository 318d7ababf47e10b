import t from 'tap';
import { ScratchLease } from '../../../packages/store/src/segment/scratch-lease.ts';
import { ManualClock } from '../../fixtures/manual-clock.ts';
import { SimScratch } from '../../fixtures/sim-scratch.ts';

const PAGE = 4096;

t.test('memory that the kernel holds in part is given back when it has let go of all of it', async (t) => {
  const scratch = new SimScratch(new Uint8Array(8 * PAGE), 0, 8 * PAGE);
  const lease = new ScratchLease(scratch, new ManualClock());
  const first = await lease.take(4 * PAGE, 0);
  const second = await lease.take(PAGE, 0);
  lease.hold(first.offset, PAGE);
  lease.hold(first.offset + 2 * PAGE, PAGE);
  lease.give(first.offset, 4 * PAGE);
  lease.give(second.offset, PAGE);
  t.equal(scratch.taken, 1, 'the other one goes at once');
  lease.released(first.offset + 2 * PAGE);
  t.equal(scratch.taken, 1);
  lease.released(7 * PAGE);
  t.equal(scratch.taken, 1, 'a range that nobody held');
  lease.released(first.offset);
  t.equal(scratch.taken, 0);
});

t.test('memory that is let go of before it is given back', async (t) => {
  const scratch = new SimScratch(new Uint8Array(PAGE), 0, PAGE);
  const lease = new ScratchLease(scratch, new ManualClock());
  const { offset } = await lease.take(PAGE, 0);
  lease.hold(offset, PAGE);
  lease.released(offset);
  lease.give(offset, PAGE);
  t.equal(scratch.taken, 0);
});

t.test('who waits for memory gets it when it is given back, or an error at the deadline', async (t) => {
  const clock = new ManualClock();
  const lease = new ScratchLease(new SimScratch(new Uint8Array(PAGE), 0, PAGE), clock);
  const { offset } = await lease.take(PAGE, 0);
  await t.rejects(lease.take(PAGE, 0), { code: 'ERR_ARENA_FULL' });
  const late = lease.take(PAGE, 10);
  late.catch(() => {});
  await clock.advance(12);
  await t.rejects(late, { code: 'ERR_ARENA_FULL' });
  const waiting = lease.take(PAGE, 10);
  await clock.advance(4);
  lease.give(offset, PAGE);
  await clock.advance(2);
  t.equal((await waiting).offset, offset);
});
