import { clockOf } from '@refill/interface';
import t from 'tap';

/** A machine whose timers fire at a share of the time they were asked for. */
function machine(share: number): { source: Parameters<typeof clockOf>[0]; run(): void; asked: number[] } {
  let nowMs = 0.25;
  let due: { atMs: number; callback: () => void } | undefined;
  const asked: number[] = [];
  return {
    asked,
    source: {
      nowMs: () => nowMs,
      wallMs: () => 1_000 + nowMs,
      timer(delayMs, callback) {
        asked.push(delayMs);
        due = { atMs: nowMs + delayMs * share, callback };
        return () => {
          due = undefined;
        };
      },
    },
    run() {
      while (due !== undefined) {
        const { atMs, callback } = due;
        due = undefined;
        nowMs = atMs;
        callback();
      }
    },
  };
}

t.test('a timer that fires early is waited on, so that a callback never finds its time not passed', (t) => {
  const { source, run, asked } = machine(0.9);
  const clock = clockOf(source);
  let calledMs = Number.NaN;
  clock.after(10, () => {
    calledMs = clock.nowMs();
  });
  run();
  t.ok(calledMs >= 10.25, `called at ${calledMs}`);
  t.ok(asked.length > 1 && asked.every(Number.isInteger), `asked for ${asked}`);
  t.end();
});

t.test('a timer that is on time calls back once', (t) => {
  const { source, run, asked } = machine(1);
  let calls = 0;
  clockOf(source).after(3, () => calls++);
  run();
  t.equal(calls, 1);
  t.strictSame(asked, [3]);
  t.end();
});

t.test('a cancelled timer does not call back, also while it is waited on', (t) => {
  const { source, run } = machine(0.5);
  let calls = 0;
  const clock = clockOf({
    ...source,
    timer(delayMs, callback) {
      return source.timer(delayMs, () => {
        callback();
        if (calls === 0) cancel();
      });
    },
  });
  const cancel = clock.after(8, () => calls++);
  run();
  t.equal(calls, 0);
  t.end();
});
