import t from 'tap';
import { createArena } from '../../../packages/store/src/arena/arena.ts';
import { BLOCK_STATE } from '../../../packages/store/src/arena/block-columns.ts';
import { HeldBlocks } from '../../../packages/store/src/arena/held-blocks.ts';
import { MemoryIO } from '../../fixtures/memory-io.ts';
import { keysOf } from '../../fixtures/node-world.ts';

const UNIT = 65_536;
const UNITS = 8;

/** Blocks whose states a test sets as the tier would. */
class Held extends HeldBlocks {
  constructor() {
    super(createArena(new MemoryIO([UNITS * UNIT])), 1);
  }

  /** A clean, evictable block of `units`. */
  add(key: number, units: number, namespace = 0): number {
    const id = this.insert(namespace, keysOf(key), 0, BLOCK_STATE.clean);
    this.columns.unit[id] = this.arena.allocator.allocate(units, id);
    this.columns.units[id] = units;
    this.columns.lengthBytes[id] = units * UNIT;
    this.admit(id);
    return id;
  }

  /** As `DramTier.drop`. */
  unlink(id: number): void {
    this.table.unlink(id);
    this.columns.flags[id] = 0;
    this.fifo.remove(id);
    this.freeUnused(id);
  }

  /** The block to evict next, or -1. */
  victim(): number {
    return this.fifo.victim((id) => this.isEvictable(id), 100);
  }
}

t.test('a key leads to its block in its namespace only', async (t) => {
  const held = new Held();
  const [one, two] = [held.add(1, 1), held.add(1, 1, 7)];
  t.same(
    [held.find(0, keysOf(1), 0), held.find(7, keysOf(1), 0), held.find(1, keysOf(1), 0)],
    [one, two, -1],
  );
  t.equal(held.namespaceOf(two), 7);
  const out = new Int32Array(3);
  held.findMany(0, keysOf(2, 1, 1), 3, out);
  t.same([...out], [-1, one, one]);
  const key = new Uint32Array(8);
  held.copyKey(two, key, 0);
  t.same(key, keysOf(1));
  t.equal(held.offsetOf(two), UNIT);
  t.match(held, { blocks: 2, usedBytes: 2 * UNIT });
});

t.test('what is pinned or borrowed is not evicted, and is evictable again after', async (t) => {
  const held = new Held();
  const id = held.add(1, 2);
  held.pin(id);
  held.pin(id);
  held.borrow(id);
  t.equal(held.pinnedBytes, 2 * UNIT, 'counted once however often');
  t.equal(held.victim(), -1);
  held.unpin(id);
  t.equal(held.pinnedBytes, 2 * UNIT);
  held.unpin(id);
  t.equal(held.pinnedBytes, 0);
  t.equal(held.victim(), -1, 'I/O uses it');
  held.giveBack(id);
  t.equal(held.victim(), id);
  t.equal(held.check(), 2);
});

t.test('a block whose key is gone lives until its last holder lets go, then its slot is free', async (t) => {
  for (const last of ['pin', 'borrow'] as const) {
    const held = new Held();
    const id = held.add(1, 3);
    held.pin(id);
    held.borrow(id);
    held.unlink(id);
    t.equal(held.find(0, keysOf(1), 0), -1);
    t.equal(held.isReadable(id), true, 'for those who have it');
    if (last === 'pin') held.giveBack(id);
    else held.unpin(id);
    t.equal(held.usedBytes, 3 * UNIT);
    if (last === 'pin') held.unpin(id);
    else held.giveBack(id);
    t.match(held, { usedBytes: 0, pinnedBytes: 0, blocks: 0 });
    t.equal(held.check(), 0);
    t.equal(held.add(2, 1), id, 'its id is given out again');
  }
});

t.test('a hold is given back once', async (t) => {
  const held = new Held();
  const id = held.add(1, 1);
  t.throws(() => held.unpin(id), { message: /a pin is given back once/ });
  t.throws(() => held.giveBack(id), { message: /a borrow is given back once/ });
});

t.test('only complete blocks are readable', async (t) => {
  const held = new Held();
  const id = held.add(1, 1);
  const readable = Object.entries(BLOCK_STATE).filter(([, state]) => {
    held.columns.state[id] = state;
    return held.isReadable(id);
  });
  t.same(
    readable.map(([name]) => name),
    ['dirty', 'clean'],
  );
});
