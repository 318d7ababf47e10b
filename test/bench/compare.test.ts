import t from 'tap';
import { absolute, compared, meets, unmeasured } from '../../bench/src/compare.ts';
import { jsonRow } from '../../bench/src/report.ts';

t.test('a target is a lower or an upper bound, and its own value meets it', async (t) => {
  t.ok(meets(0.97, '>= 0.97'));
  t.notOk(meets(0.969, '>= 0.97'));
  t.ok(meets(1.6, '<= 1.6'));
  t.notOk(meets(1.7, '<= 1.6'));
  t.notOk(meets(Number.NaN, '<= 1.6'));
  t.throws(() => meets(1, 'about 1'), /no target/);
});

t.test('a comparison of CPU compares CPU', async (t) => {
  const ours = [{ value: 9, cpuSecondsPerGigabyte: 0.01 }];
  const theirs = [{ value: 1, cpuSecondsPerGigabyte: 1 }];
  const field = 'cpuSecondsPerGigabyte';
  const row = compared({ name: 'x', unit: 's/GB', against: 'y', target: '<= 0.05', field }, ours, theirs);
  t.match(row, { value: 0.01, rival: 1, ratio: 0.01, met: true, rounds: 1 });
});

t.test('a row without a target is neither met nor missed', async (t) => {
  t.equal(absolute({ name: 'x', unit: 'us', target: '' }, 1, 1).met, null);
  t.equal(absolute({ name: 'x', unit: 'us', target: '<= 2' }, 1, 1).met, true);
});

t.test('what was not measured is null in JSON and has every field', async (t) => {
  t.strictSame(jsonRow(unmeasured('fuse', 'no /dev/fuse')), {
    name: 'fuse',
    value: null,
    unit: '',
    against: '',
    ratio: null,
    target: '',
    met: null,
  });
});
