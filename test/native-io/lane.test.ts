import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { createIoBatch, IO_OP, type IoBatch, pushIo } from '@refill/interface';
import { createBlockIO } from '@refill/native-io';
import t from 'tap';
// The built one: its worker is a file beside it.
import { Lane } from '../../packages/native-io/dist/lane.js';
import { resultOf } from '../compliance/block-io.ts';

const BYTES = 65_536;
const read = (file: number, at = 0): IoBatch => {
  const batch = createIoBatch(1);
  pushIo(batch, IO_OP.read, 0, file, 0, 0, at * BYTES, BYTES);
  return batch;
};

for (const engine of ['io_uring', 'threads'] as const) {
  t.test(`${engine}: a batch that comes while the last worker leaves the queue is taken`, async (t) => {
    const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 2 ** 21, engine, lanes: { read: 1 } });
    const file = await io.open('file', { create: true, write: true, direct: true, sizeBytes: BYTES });
    // Around the time that a worker lingers, in steps of a few microseconds.
    for (let turn = 0; turn < 200; turn++) {
      const batch = read(file);
      await io.submit(batch, { lane: 'read', deadlineMs: 10_000 });
      t.equal(resultOf(batch, 0), BYTES);
      await delay(turn % 4);
      const until = process.hrtime.bigint() + BigInt(turn * 2_000);
      while (process.hrtime.bigint() < until);
    }
    await io.stop();
  });

  t.test(`${engine}: batches beyond the limit are refused, those before it all end`, async (t) => {
    const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 2 ** 21, engine });
    const file = await io.open('file', { create: true, write: true, direct: true, sizeBytes: BYTES });
    const batches = Array.from({ length: 4097 }, (_, index) => read(file, index % 32));
    const all = batches.map((batch) => io.submit(batch, { lane: 'read', deadlineMs: 60_000 }));
    await t.rejects(all.pop()!, { code: 'ERR_LIMIT' });
    await Promise.all(all);
    t.ok(batches.slice(0, -1).every((batch) => resultOf(batch, 0) === BYTES));
    await io.stop();
  });
}

t.test('a batch whose time is over in the queue ends as timed out, exactly once', async (t) => {
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 2 ** 21, lanes: { read: 1 } });
  const file = await io.open('file', { create: true, write: true, direct: true, sizeBytes: BYTES });
  const batches = Array.from({ length: 2000 }, (_, index) => read(file, index % 32));
  await Promise.all(batches.map((batch) => io.submit(batch, { lane: 'read', deadlineMs: 1 })));
  const results = batches.map((batch) => resultOf(batch, 0));
  t.ok(results.every((result) => result === BYTES || result === -constants.errno.ETIMEDOUT));
  t.equal(io.counters.timeouts, results.filter((result) => result !== BYTES).length);
  await io.stop();
});

t.test('a lane that stops while its workers let go of closed files waits for them', async (t) => {
  for (let round = 0; round < 4; round++) {
    const lane = new Lane({
      instance: 0,
      lane: 'read',
      workers: 2,
      inflightBytes: 4096,
      inflightBytesBehindReads: 4096,
    });
    await lane.sweep();
    let isSwept = false;
    const sweep = lane.sweep().then(() => {
      isSwept = true;
    });
    // Meanwhile the workers answer. Were they ended before that is seen, piscina would throw where nobody can catch it.
    const until = process.hrtime.bigint() + 30_000_000n;
    while (process.hrtime.bigint() < until);
    await lane.stop();
    t.ok(isSwept);
    await sweep;
  }
});
