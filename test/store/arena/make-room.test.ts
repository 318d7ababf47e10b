import t, { type Test } from 'tap';
import { makeRoom } from '../../../packages/store/src/arena/make-room.ts';
import { OWNER_NONE, SlotAllocator } from '../../../packages/store/src/arena/slot-allocator.ts';

const UNIT = 65_536;
const OWNER = 99;

/** An arena that is full of blocks of these sizes, in the order of their addresses; block `i` is owned by id `i`. */
class FullArena {
  readonly allocator: SlotAllocator;
  readonly unitOf: Int32Array;
  readonly evicted: number[] = [];
  /** Ids in the order in which they are proposed. */
  order: number[] = [];
  readonly held = new Set<number>();

  constructor(paneUnits: number[], sizes: number[]) {
    this.allocator = new SlotAllocator(paneUnits.map((units) => units * UNIT));
    this.unitOf = new Int32Array(sizes.length);
    sizes.forEach((size, id) => {
      this.unitOf[id] = this.allocator.allocate(size, id);
      this.allocator.check();
    });
  }

  readonly isEvictable = (id: number): boolean => !this.held.has(id) && !this.evicted.includes(id);

  makeRoom(units: number): number {
    return makeRoom(
      this.allocator,
      () => this.order.find(this.isEvictable) ?? -1,
      this.isEvictable,
      (id) => {
        this.evicted.push(id);
        this.allocator.free(this.unitOf[id]!);
      },
      this.unitOf,
      units,
      OWNER,
    );
  }
}

/** What was taken is a slot of this size and owner. */
function holds(t: Test, arena: FullArena, unit: number, units: number): void {
  arena.allocator.check();
  t.equal(arena.allocator.ownerOf(unit), OWNER);
  t.equal(arena.allocator.sizeOf(unit), units);
}

t.test('a victim that is long enough by itself goes alone', async (t) => {
  const arena = new FullArena([12], [4, 4, 4]);
  arena.order = [1, 0, 2];
  holds(t, arena, arena.makeRoom(4), 4);
  t.same(arena.evicted, [1]);
});

t.test('a victim that is too short takes neighbours with it, as few as suffice', async (t) => {
  const arena = new FullArena([12], [2, 2, 2, 2, 2, 2]);
  arena.order = [2];
  holds(t, arena, arena.makeRoom(5), 5);
  t.same(arena.evicted.sort(), [2, 3, 4], 'to the right first');
});

t.test('neighbours on the left are taken where the right ones are held', async (t) => {
  const arena = new FullArena([12], [2, 2, 2, 2, 2]);
  arena.held.add(4);
  arena.order = [3];
  const unit = arena.makeRoom(6);
  holds(t, arena, unit, 6);
  t.same(arena.evicted.sort(), [1, 2, 3]);
  t.equal(unit, 2);
});

t.test('the proposed go one by one until there is room, also where none has neighbours', async (t) => {
  const arena = new FullArena([9], [1, 1, 1, 1, 1, 1, 1, 1, 1]);
  for (const id of [1, 3, 5, 7]) arena.held.add(id);
  arena.held.add(4);
  arena.order = [0, 2];
  t.equal(arena.makeRoom(2), -1);
  t.same(arena.evicted, [0, 2], 'both were due');
  arena.held.delete(1);
  holds(t, arena, arena.makeRoom(3), 3);
  t.same(arena.evicted, [0, 2, 1], 'found by address, without a proposal');
});

t.test('a stretch never crosses a pane, and more than a pane is never tried', async (t) => {
  const arena = new FullArena([4, 4], [2, 2, 2, 2]);
  const [first, second, third, fourth] = [0, 2, 4, 6].map((unit) => arena.allocator.ownerOf(unit));
  for (const id of [first, fourth]) arena.held.add(id!);
  arena.order = [second!, third!];
  t.equal(arena.makeRoom(5), -1);
  t.same(arena.evicted, []);
  t.equal(arena.makeRoom(3), -1, 'units 2 to 5 are of two panes');
  arena.allocator.check();
});

t.test('scratch memory, which nobody owns, is never evicted', async (t) => {
  const arena = new FullArena([6], [2, 2, 2]);
  arena.allocator.setOwner(arena.unitOf[1]!, OWNER_NONE);
  arena.order = [0, 2];
  t.equal(arena.makeRoom(3), -1);
  t.equal(arena.allocator.freeUnits, 4);
  t.equal(arena.allocator.ownerOf(arena.unitOf[1]!), OWNER_NONE);
});
