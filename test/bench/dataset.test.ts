import t from 'tap';
import { Dataset, Payload, permutation } from '../../bench/src/dataset.ts';

const shape = { blockBytes: 8192, count: 5000, chainBlocks: 16, seed: 1 };

t.test('keys are distinct, and others for another seed', async (t) => {
  const hex = (seed: number, index: number) =>
    Buffer.from(new Dataset({ ...shape, seed }).key(index)).toString('hex');
  const one = new Dataset(shape);
  const all = new Set(Array.from({ length: shape.count }, (_, i) => Buffer.from(one.key(i)).toString('hex')));
  t.equal(all.size, shape.count);
  t.notOk(all.has(hex(2, 0)));
  t.ok(all.has(hex(1, 7)), 'the same for the same seed');
});

t.test('blocks of a prompt are a chain and the first has no parent', async (t) => {
  const dataset = new Dataset(shape);
  t.equal(dataset.parent(0), undefined);
  t.equal(dataset.parent(16), undefined);
  t.strictSame(dataset.parent(17), dataset.key(16));
});

t.test('a permutation holds every number once and follows its seed', async (t) => {
  const order = permutation(1000, 3);
  t.strictSame(
    [...order].sort((a, b) => a - b),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  t.strictSame(permutation(1000, 3), order);
  t.notSame(permutation(1000, 4), order);
});

t.test('a payload tells its block from any other, whichever page differs', async (t) => {
  const payload = new Payload(new Uint8Array(4 * 8192), 8192);
  t.equal(payload.slots, 4);
  const memory = new Uint8Array(4 * 8192);
  const other = new Payload(memory, 8192);
  const at = other.stamp(2, 77);
  t.equal(at, 2 * 8192);
  const block = memory.slice(at, at + 8192);
  t.doesNotThrow(() => other.verify(77, block));
  t.throws(() => other.verify(78, block), /block 78 came back with other bytes/);
  block[5000]! ^= 1;
  t.throws(() => other.verify(77, block), /block 77/);
});
