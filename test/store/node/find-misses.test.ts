import { LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { gatherMisses, locateMisses } from '../../../packages/store/src/node/find-misses.ts';
import type { NodeCore } from '../../../packages/store/src/node/node-parts.ts';
import { settle } from '../../fixtures/manual-clock.ts';
import { keysOf } from '../../fixtures/node-world.ts';

t.test('the keys at the positions are gathered in their order', async (t) => {
  const misses = gatherMisses(keysOf(0, 1, 2, 3), Int32Array.of(3, 1, 0), 2);
  t.same(misses.keys, keysOf(3, 1));
  t.equal(misses.count, 2);
  t.equal(misses.locations.length, 2 * LOCATION_ROW_WORDS);
});

/** A directory whose lookups each wait for a `go`, and then find the first key if `isThere` says so at that time. */
function coreOf() {
  const waiting: (() => void)[] = [];
  let isThere = true;
  const core = {
    deletions: 0,
    directory: {
      lookup: (_namespace: number, _keys: Uint32Array, _count: number, rows: Uint32Array) =>
        new Promise<void>((resolve) => {
          const found = isThere ? 1 : 0;
          waiting.push(() => {
            if (found === 1) rows[LOCATION_ROW.found] = 1;
            resolve();
          });
        }),
    },
  };
  return {
    core: core as unknown as NodeCore,
    get lookups() {
      return waiting.length;
    },
    go: async () => {
      waiting.at(-1)!();
      await settle();
    },
    deletes: () => void core.deletions++,
    vanish: () => {
      isThere = false;
    },
  };
}

t.test('a lookup during which nothing was deleted is made once', async (t) => {
  const world = coreOf();
  const misses = gatherMisses(keysOf(1), Int32Array.of(0), 1);
  const located = locateMisses(world.core, 0, misses);
  await world.go();
  await located;
  t.equal(world.lookups, 1);
  t.equal(misses.locations[LOCATION_ROW.found], 1);
});

t.test('what was deleted while a lookup waited does not come back, however often that happens', async (t) => {
  const world = coreOf();
  const misses = gatherMisses(keysOf(1), Int32Array.of(0), 1);
  const located = locateMisses(world.core, 0, misses);
  world.deletes();
  await world.go();
  t.equal(world.lookups, 2);
  t.equal(misses.locations[LOCATION_ROW.found], 0, 'what the first had found counts for nothing');
  world.vanish();
  world.deletes();
  await world.go();
  t.equal(world.lookups, 3);
  await world.go();
  await located;
  t.equal(misses.locations[LOCATION_ROW.found], 0);
});

t.test('a directory that answers in the call is not waited for', async (t) => {
  const lookup = (_namespace: number, _keys: Uint32Array, _count: number, rows: Uint32Array): void => {
    rows[LOCATION_ROW.found] = 1;
  };
  const misses = gatherMisses(keysOf(1), Int32Array.of(0), 1);
  t.equal(locateMisses({ deletions: 0, directory: { lookup } } as unknown as NodeCore, 0, misses), undefined);
  t.equal(misses.locations[LOCATION_ROW.found], 1);
});
