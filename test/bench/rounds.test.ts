import t from 'tap';
import { inTurn, median, medianSample, percentile, ratioOf } from '../../bench/src/rounds.ts';

t.test('every lane runs once a round and another one begins each time', async (t) => {
  const order: string[] = [];
  const lane = (name: string) => async (round: number) => {
    order.push(`${round}${name}`);
    return { value: round };
  };
  const samples = await inTurn(3, { a: lane('a'), b: lane('b') });
  t.strictSame(order, ['0a', '0b', '1b', '1a', '2a', '2b']);
  t.strictSame(
    samples.b.map((sample) => sample.value),
    [0, 1, 2],
  );
});

t.test('the ratio is the median of the ratios, not the ratio of the medians', async (t) => {
  const ours = [{ value: 1 }, { value: 20 }, { value: 6 }];
  const theirs = [{ value: 1 }, { value: 10 }, { value: 2 }];
  t.strictSame(ratioOf(ours, theirs), { ratio: 2, spread: [1, 3] });
});

t.test('lanes of different length are not compared', async (t) => {
  t.throws(() => ratioOf([{ value: 1 }], []), /rounds differ: 1 and 0/);
});

t.test('a median of an even count lies between the middle two', async (t) => {
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.equal(median([5]), 5);
  t.ok(Number.isNaN(median([])));
});

t.test('a percentile is a value that was measured', async (t) => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  t.equal(percentile(values, 0.5), 51);
  t.equal(percentile(values, 0.99), 100);
  t.equal(percentile(values, 1), 100);
});

t.test('a sample of medians has only the fields that were measured', async (t) => {
  t.strictSame(
    medianSample([
      { value: 1, p50Us: 3 },
      { value: 3, p50Us: 5, pages: 'thp' },
    ]),
    {
      value: 2,
      p50Us: 4,
      pages: 'thp',
    },
  );
});
