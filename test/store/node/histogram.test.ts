import t from 'tap';
import { Histogram } from '../../../packages/store/src/node/histogram.ts';

t.test('quantiles are right within a sixteenth', async (t) => {
  const histogram = new Histogram();
  t.same(histogram.summary(), { count: 0, p50Us: 0, p99Us: 0 });
  for (let micros = 1; micros <= 10_000; micros++) histogram.record(micros / 1000);
  for (const share of [0.01, 0.5, 0.9, 0.99, 1]) {
    const exact = share * 10_000;
    const quantile = histogram.quantile(share);
    t.ok(quantile >= exact && quantile <= exact * (1 + 1 / 16) + 1, `${share}: ${quantile} for ${exact}`);
  }
  t.equal(histogram.summary().count, 10_000);
});

t.test('negative and endless times are counted at the ends', async (t) => {
  const histogram = new Histogram();
  histogram.record(-1);
  t.equal(histogram.quantile(1), 0);
  histogram.record(Infinity);
  t.ok(histogram.quantile(1) >= 2 ** 32 - 1);
});
