import { IO_BATCH_OPS_MAX, IO_OP, IO_WORDS, type IoBatch } from '@refill/interface';
import t from 'tap';
import { COPY_LATE, Copies } from '../../../packages/store/src/arena/copy.ts';
import { MemoryIO } from '../../fixtures/memory-io.ts';

const MIB = 2 ** 20;
const log = { error: () => {} };
type Core = Parameters<Copies['run']>[0];

/** An engine that answers by `result` and notes the lengths of every batch. */
function engineOf(result: (index: number, length: number) => number) {
  const batches: number[][] = [];
  const submit = async (batch: IoBatch, { lane, deadlineMs }: { lane: string; deadlineMs?: number }) => {
    if (lane !== 'read' || deadlineMs !== 77) throw new Error(`lane ${lane}, deadline ${deadlineMs}`);
    const lengths = Array.from({ length: batch.count }, (_, i) => batch.uwords[i * IO_WORDS + 8]!);
    for (let i = 0; i < batch.count; i++) {
      if (batch.uwords[i * IO_WORDS] !== IO_OP.copy) throw new Error('not a copy');
      batch.words[i * IO_WORDS + 9] = result(i, lengths[i]!);
    }
    batches.push(lengths);
  };
  return { batches, core: { io: { submit }, log } as unknown as Core };
}

t.test('bytes go from place to place, over buffers and panes', async (t) => {
  const io = new MemoryIO([65_536, 65_536]);
  io.files.set('/region', new Uint8Array(8192));
  const region = await io.attachRegion({ path: '/region' }, 8192);
  io.panes[1]!.fill(5, 100, 200);
  const copies = new Copies();
  copies.add(0, 65_536 + 100, region, 4000, 100);
  copies.add(0, 65_536 + 100, 0, 10, 50);
  await copies.run({ io, log } as unknown as Core, 1000);
  t.same([copies.isDone(0), copies.isDone(1)], [true, true]);
  t.ok(
    io.files
      .get('/region')!
      .subarray(4000, 4100)
      .every((byte) => byte === 5),
  );
  t.same([...io.panes[0]!.subarray(9, 11)], [0, 5]);
});

t.test('large copies are shared out over batches; a longer one has one of its own', async (t) => {
  const { core, batches } = engineOf((_, length) => length);
  const copies = new Copies();
  for (const length of [MIB, 2 * MIB, MIB, 1, 9 * MIB, MIB]) copies.add(0, 0, 1, 0, length);
  await copies.run(core, 77);
  t.same(batches, [[MIB, 2 * MIB, MIB], [1], [9 * MIB], [MIB]]);
  t.equal(copies.results.length, 6);

  const many = engineOf((_, length) => length);
  const small = new Copies();
  for (let i = 0; i <= IO_BATCH_OPS_MAX; i++) small.add(0, 0, 1, 0, 1);
  await small.run(many.core, 77);
  t.same(
    many.batches.map(({ length }) => length),
    [IO_BATCH_OPS_MAX, 1],
  );
});

t.test('a copy that is short, late or failed is not done, and the others are', async (t) => {
  const { core } = engineOf((index, length) => [length, length - 1, COPY_LATE, -5][index]!);
  const copies = new Copies();
  for (let i = 0; i < 4; i++) copies.add(0, 0, 1, 0, 100);
  await copies.run(core, 77);
  t.same(
    [0, 1, 2, 3].map((i) => copies.isDone(i)),
    [true, false, false, false],
  );
  t.equal(copies.results[2], COPY_LATE, 'whose memory is still in use');
});

t.test('an engine that refuses a batch fails its copies, and is not thrown at the caller', async (t) => {
  const io = { submit: () => Promise.reject(new Error('stopped')) };
  const copies = new Copies();
  copies.add(0, 0, 1, 0, 100);
  await copies.run({ io, log } as unknown as Core, 77);
  t.equal(copies.isDone(0), false);
  t.ok(copies.results[0]! < 0 && copies.results[0] !== COPY_LATE);
});
