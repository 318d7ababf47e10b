import t from 'tap';
import { Ghost } from '../../../packages/store/src/arena/ghost.ts';

t.test('an evicted key is remembered once', async (t) => {
  const ghost = new Ghost(64);
  t.equal(ghost.take(7, 100), false);
  ghost.add(7);
  t.equal(ghost.take(7, 100), true);
  t.equal(ghost.take(7, 100), false);
});

t.test('an eviction counts only within the reach', async (t) => {
  const ghost = new Ghost(1024);
  ghost.add(1);
  for (let other = 2; other < 12; other++) ghost.add(other);
  t.equal(ghost.take(1, 5), false);
  t.equal(ghost.take(11, 5), true);
});

t.test('of three keys for one place the oldest gives way', async (t) => {
  const ghost = new Ghost(16);
  for (const fingerprint of [3, 3 + 8, 3 + 16]) ghost.add(fingerprint);
  t.same(
    [3, 3 + 8, 3 + 16].map((fingerprint) => ghost.take(fingerprint, 100)),
    [false, true, true],
  );
});
