import { RemovedKeys } from '@refill/interface';
import t from 'tap';

const key = (n: number): Uint32Array => new Uint32Array(8).fill(n + 1);

t.test('a key counts as removed after every moment before its last removal', async (t) => {
  const removed = new RemovedKeys({ seed: 1, keysMax: 10 });
  removed.note(1, key(1), 0, 5);
  removed.note(1, key(2), 0, 2 ** 40);
  t.equal(removed.isRemovedAfter(1, key(1), 0, 4), true);
  t.equal(removed.isRemovedAfter(1, key(1), 0, 5), false);
  t.equal(removed.isRemovedAfter(2, key(1), 0, 4), false, 'in another namespace');
  t.equal(removed.isRemovedAfter(1, key(2), 0, 2 ** 40 - 1), true);
  removed.note(1, key(1), 0, 2 ** 40 + 1);
  t.equal(removed.isRemovedAfter(1, key(1), 0, 2 ** 40), true);
  t.equal(removed.size, 2);
  t.equal(removed.since, 0);
});

t.test('it is bounded, keeps the latest, and says since when it knows all', async (t) => {
  const removed = new RemovedKeys({ seed: 1, keysMax: 10, since: 100 });
  for (let n = 0; n < 1000; n++) {
    removed.note(0, key(n), 0, 101 + n);
    if (removed.size > 20) return t.fail('more than two generations');
    for (let last = Math.max(0, n - 9); last <= n; last++) {
      if (!removed.isRemovedAfter(0, key(last), 0, 100)) return t.fail(`of ${n}, ${last} is forgotten`);
    }
    for (let early = 0; early <= n; early++) {
      const moment = 101 + early;
      const isKnown = removed.isRemovedAfter(0, key(early), 0, moment - 1);
      if (moment > removed.since && !isKnown)
        return t.fail(`${early} is forgotten, not before ${removed.since}`);
    }
  }
  t.ok(removed.since > 1000);
  removed.forget(5000);
  t.equal(removed.since, 5000);
  t.equal(removed.isRemovedAfter(0, key(999), 0, 0), false);
});
