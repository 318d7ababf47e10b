import t from 'tap';
import { SourceGauge } from '../../../packages/store/src/source/source-gauge.ts';
import { mulberry } from '../../fixtures/seeded-random.ts';

const PRIOR = { latencyMs: 1, bytesPerMs: 1_000_000 };

t.test('before the first load the prior stands', async (t) => {
  const gauge = new SourceGauge(PRIOR);
  t.equal(gauge.estimateMs(2_000_000), 3);
  t.match(gauge.reading(0), { loads: 0, bytes: 0, failures: 0, suspendedMs: 0, inFlightBytes: 0 });
});

t.test('what is queued delays what is asked next', async (t) => {
  const gauge = new SourceGauge(PRIOR);
  gauge.begin(4_000_000, 0);
  t.equal(gauge.readyMs(), 5);
  t.equal(gauge.estimateMs(1_000_000), 6);
});

for (const truth of [
  { latencyMs: 0.2, bytesPerMs: 4_000_000 },
  { latencyMs: 5, bytesPerMs: 300_000 },
  { latencyMs: 1, bytesPerMs: 1_000_000 },
]) {
  t.test(`the figures of a source come near ${JSON.stringify(truth)}, whatever the prior`, async (t) => {
    const gauge = new SourceGauge(PRIOR);
    const random = mulberry(7);
    let nowMs = 0;
    for (let i = 0; i < 400; i++) {
      const bytes = Math.ceil(random() < 0.5 ? random() * 1e5 : random() * 5e7);
      const noise = 0.9 + random() * 0.2;
      const start = gauge.begin(bytes, nowMs);
      nowMs += (truth.latencyMs + bytes / truth.bytesPerMs) * noise;
      gauge.end(start, bytes, bytes, nowMs);
    }
    for (const bytes of [64 * 1024, 4 << 20, 64 << 20]) {
      const real = truth.latencyMs + bytes / truth.bytesPerMs;
      const ratio = gauge.estimateMs(bytes) / real;
      t.ok(ratio > 0.6 && ratio < 1.6, `${bytes} bytes: estimate is ${ratio.toFixed(2)} of the truth`);
    }
    t.equal(gauge.reading(nowMs).inFlightBytes, 0);
  });
}

t.test('a source that fails is left alone, longer each time, until it delivers again', async (t) => {
  const gauge = new SourceGauge(PRIOR);
  gauge.fail(0);
  const first = gauge.reading(0).suspendedMs;
  t.ok(first > 0);
  t.ok(gauge.isSuspended(first - 1));
  t.notOk(gauge.isSuspended(first));
  gauge.fail(first);
  t.equal(gauge.reading(first).suspendedMs, 2 * first);
  for (let i = 0; i < 40; i++) gauge.fail(first);
  const longest = gauge.reading(first).suspendedMs;
  t.ok(longest <= 30_000, 'never for longer than half a minute');
  const start = gauge.begin(10, longest * 2);
  gauge.end(start, 10, 10, longest * 2 + 1);
  gauge.fail(longest * 2);
  t.equal(gauge.reading(longest * 2).suspendedMs, first, 'a delivery forgives');
});

t.test('a load that came in part teaches nothing of the speed', async (t) => {
  const gauge = new SourceGauge(PRIOR);
  const start = gauge.begin(1_000_000, 0);
  gauge.end(start, 1_000_000, 10, 900);
  t.match(gauge.reading(900), { ...PRIOR, loads: 1, bytes: 10, inFlightBytes: 0 });
});
