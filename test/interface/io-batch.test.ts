import {
  createIoBatch,
  IO_OP,
  IO_PENDING,
  IO_WORDS,
  pushIo,
  setIoCopySource,
  setIoKey,
} from '@refill/interface';
import t from 'tap';

t.test('an operation lies in the words that the layout names', async (t) => {
  const batch = createIoBatch(4);
  pushIo(batch, IO_OP.sync, 0, 1, 0, 0, 0, 0);
  const index = pushIo(
    batch,
    IO_OP.read,
    2,
    7,
    5 * 2 ** 32 + 4096,
    3,
    2 ** 33 + 65_536,
    1_000_000,
    0xdeadbeef,
    0xfeedf00d,
  );
  t.equal(index, 1);
  const key = Uint32Array.from({ length: 8 }, (_, i) => 0xf0000000 + i);
  setIoKey(batch, index, key, 0);
  setIoCopySource(batch, index, 9, 3 * 2 ** 32 + 64);
  const word = (i: number) => batch.uwords[index * IO_WORDS + i];
  t.same([0, 1, 2, 3, 4, 5, 6, 7, 8].map(word), [IO_OP.read, 2, 7, 3, 4096, 5, 65_536, 2, 1_000_000]);
  t.equal(batch.words[index * IO_WORDS + 9], IO_PENDING);
  t.same([10, 11].map(word), [0xdeadbeef, 0xfeedf00d]);
  t.same([12, 13, 14, 15, 16, 17, 18, 19].map(word), [...key]);
  t.same([20, 21, 22].map(word), [64, 3, 9]);
});

t.test('a reused slot carries nothing over', async (t) => {
  const batch = createIoBatch(1);
  pushIo(batch, IO_OP.read, 2, 7, 1, 3, 1, 1, 1, 1);
  batch.count = 0;
  pushIo(batch, IO_OP.sync, 0, 1, 0, 0, 0, 0);
  t.same([...batch.uwords.subarray(12, IO_WORDS)], new Array(12).fill(0));
});

t.test('a full batch and a bad capacity are refused', async (t) => {
  const batch = createIoBatch(1);
  pushIo(batch, IO_OP.sync, 0, 1, 0, 0, 0, 0);
  t.throws(() => pushIo(batch, IO_OP.sync, 0, 1, 0, 0, 0, 0), {
    name: 'RangeError',
    message: /batch is full at 1/,
  });
  for (const capacity of [0, 1.5, 1025]) t.throws(() => createIoBatch(capacity), { name: 'RangeError' });
});
