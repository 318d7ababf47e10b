import { IO_OP, IO_PENDING, IO_WORDS, pushIo } from '@refill/interface';
import t from 'tap';
import { IoBatches, ioFailure, ioLength } from '../../../packages/store/src/segment/io-batches.ts';

t.test('a batch that was given back is used again, empty', (t) => {
  const batches = new IoBatches(4);
  const first = batches.take();
  const second = batches.take();
  t.not(first, second);
  pushIo(first, IO_OP.read, 0, 1, 0, 0, 0, 4096);
  batches.give(first);
  t.equal(batches.take(), first);
  t.equal(first.count, 0);
  t.end();
});

t.test('a batch is whole when every operation did all it was asked for', (t) => {
  const cases: [what: string, results: number[], errno: number][] = [
    ['whole', [4096, 8192, 0], 0],
    ['a short write is EIO', [4096, 8191, 0], 5],
    ['an error is itself', [4096, -28, 0], 28],
    ['a sync that failed, too', [4096, 8192, -5], 5],
    ['what was never run is EIO', [4096, 8192, IO_PENDING], 5],
    ['what was never run is not the cause', [4096, IO_PENDING, -30], 30],
    ['the first of two errors counts', [-122, -28, 0], 122],
  ];
  for (const [what, results, errno] of cases) {
    const batch = new IoBatches(3).take();
    pushIo(batch, IO_OP.write, 0, 1, 0, 0, 0, 4096);
    pushIo(batch, IO_OP.write, 0, 1, 4096, 0, 0, 8192);
    pushIo(batch, IO_OP.sync, 0, 1, 0, 0, 0, 12_288);
    t.equal(ioLength(batch, 1), 8192);
    results.forEach((result, i) => {
      batch.words[i * IO_WORDS + 9] = result;
    });
    t.equal(ioFailure(batch), errno, what);
  }
  t.end();
});
