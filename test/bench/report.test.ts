import t from 'tap';
import { compared } from '../../bench/src/compare.ts';
import { figure, scenarioSection, withSection } from '../../bench/src/report.ts';

t.test('a section is replaced in place and the rest is left alone', async (t) => {
  const first = withSection(withSection('', 'a', 'one'), 'b', 'two');
  const byHand = first.replace('<!-- begin b -->', 'A sentence.\n\n<!-- begin b -->');
  t.equal(
    withSection(byHand, 'a', 'three'),
    '<!-- begin a -->\nthree\n<!-- end a -->\n\nA sentence.\n\n<!-- begin b -->\ntwo\n<!-- end b -->\n',
  );
});

t.test('figures have three digits', async (t) => {
  t.equal(figure(4.5678), '4.57');
  t.equal(figure(0.0123456), '0.0123');
  t.equal(figure(234567.8), '234,568');
  t.equal(figure(Number.NaN), '-');
  t.equal(figure(null), '-');
});

t.test('a missed target stands out and both sides show CPU, latencies and pages', async (t) => {
  const ours = [{ value: 1, cpuSecondsPerGigabyte: 0.02, p50Us: 5, p99Us: 7, pages: 'thp' }];
  const theirs = [{ value: 2, cpuSecondsPerGigabyte: 0.01, p50Us: 4, p99Us: 6, pages: '4K' }];
  const row = compared({ name: 'x', unit: 'GB/s', against: 'y', target: '>= 1' }, ours, theirs);
  const scenario = { name: 'x', title: 'X', run: async () => [] };
  const section = scenarioSection(scenario, [row], 5, 'load 0.1 on 2 cores when it began');
  t.match(section, '## X\n\nMedians of 5 rounds');
  t.match(section, /; load 0\.1 on 2 cores when it began\.\n/);
  t.match(section, '| **no** | 0.02 / 0.01 | 5 / 7 | 4 / 6 | thp / 4K | y |');
});
