import t from 'tap';

interface Counts {
  passed: number;
  failures: { path: string; detail: string }[];
  skips: string[];
}
const { href } = new URL('../../scripts/lib/tap-counts.mjs', import.meta.url);
const { countTap } = (await import(href)) as { countTap: (tap: string) => Counts };

t.test('assertions count, the closing lines of their tests do not', async (t) => {
  const tap = `TAP version 14
1..1
# Subtest: a.test.ts
    # Subtest: good
        ok 1 - one
        ok 2 - two
        1..2
    ok 1 - good # time=1ms
    # Subtest: bad
        ok 1 - one
        not ok 2 - two
          ---
          diff: |
            ok 1 - this is no assertion
          ...
        1..2
    not ok 2 - bad # time=1ms
    1..2
not ok 1 - a.test.ts # time=9ms
`;
  const { passed, failures, skips } = countTap(tap);
  t.equal(passed, 3);
  t.same(
    failures.map(({ path }) => path),
    ['a.test.ts > bad > two'],
  );
  t.match(failures[0]!.detail, /this is no assertion/);
  t.same(skips, []);
});

t.test('a file that crashes is a failure, whatever passed before', async (t) => {
  const { passed, failures } = countTap(`# Subtest: a.test.ts
    ok 1 - one
    # test count(1) != plan(null)
not ok 1 - a.test.ts # time=9ms
  ---
  signal: SIGKILL
  ...
`);
  t.equal(passed, 1);
  t.match(failures, [{ path: 'a.test.ts', detail: /SIGKILL/ }]);
});

t.test('output that breaks off is a failure', async (t) => {
  const { failures } = countTap('# Subtest: a.test.ts\n    # Subtest: deep\n        ok 1 - one\n');
  t.same(
    failures.map(({ path }) => path),
    ['a.test.ts never ended', 'deep never ended'],
  );
});

t.test('skips carry their path and reason, and count once', async (t) => {
  const { passed, failures, skips } = countTap(`# Subtest: a.test.ts
    # Subtest: whole
        1..0 # no root
    ok 1 - whole # SKIP no root
    ok 2 - part # TODO
    1..2
ok 1 - a.test.ts # time=1ms
`);
  t.equal(passed, 0);
  t.same(failures, []);
  t.same(skips, ['a.test.ts > whole # SKIP no root', 'a.test.ts > part # TODO']);
});
