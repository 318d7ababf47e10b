import { IO_WORDS, type IoBatch } from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS } from '@refill/store';
import t from 'tap';
import { ReadPressure } from '../../../packages/store/src/segment/read-pressure.ts';
import { ReadScheduler } from '../../../packages/store/src/segment/read-scheduler.ts';

t.test(
  'reads whose deadline passed before they left are given out once, and none without a block',
  async (t) => {
    // The process did not run for a minute: the timers that would have ended them have not fired yet.
    const clock = { nowMs: () => 60_000, wallMs: () => 0, after: () => () => {} };
    const counts: number[] = [];
    const submit = async (batch: IoBatch, { deadlineMs }: { deadlineMs: number }): Promise<void> => {
      counts.push(batch.count);
      t.equal(deadlineMs, 1, 'the least that the engine takes');
      for (let i = 0; i < batch.count; i++) batch.words[i * IO_WORDS + 9] = 4096;
    };
    const done: number[] = [];
    const scheduler = new ReadScheduler(
      // Nothing else of the two is used.
      { io: { submit } as never, clock, pressure: new ReadPressure(clock), counters: {} as never },
      { tasksMax: 4, taskBytes: 2 ** 20, inFlightBytes: 2 ** 22 },
      { onDone: (_request, position) => done.push(position), onExpired: () => t.fail('it was read') },
    );
    const rows = new Uint32Array(2 * LOAD_ROW_WORDS);
    for (let i = 0; i < 2; i++) rows[i * LOAD_ROW_WORDS + LOAD_ROW.storedBytes] = 4096;
    const request = {
      rows,
      order: Uint32Array.of(0, 1),
      files: Int32Array.of(1, 1),
      uses: [],
      deadlineAtMs: 5000,
      retries: undefined,
      remaining: 2,
      resolve: () => {},
    };
    scheduler.add({ request, from: 0, to: 2 });
    await new Promise((resolve) => setImmediate(resolve));
    t.same(counts, [2]);
    t.same(done, [0, 1]);
  },
);
