import { READ_ROW, READ_ROW_WORDS, ROW_STATUS } from '@refill/interface';
import t from 'tap';
import {
  createWorld,
  get,
  keysOf,
  openSession,
  payload,
  put,
  UNIT,
  type World,
} from '../../fixtures/node-world.ts';

/** Every block moves to another segment, while loads that are under way still look in the old one. */
function move(world: World): void {
  for (const stored of world.shared.blocks.values()) stored.segment++;
}

t.test(
  'a block that moved after its lookup is read from its new place, one that is nowhere is a miss',
  async (t) => {
    const world = await createWorld();
    const { session, namespace } = await openSession(world);
    await put(world, session, namespace, 1, payload(1, 5000), 'shared');
    await put(world, session, namespace, 2, payload(2, 5000), 'shared');
    await put(world, session, namespace, 3, payload(3, 64 * UNIT), 'shared');
    world.shared.holdLoads = true;
    const reading = get(world, session, namespace, [1, 2]);
    move(world);
    world.shared.blocks.delete([...world.shared.blocks.keys()][1]!);
    world.shared.holdLoads = false;
    world.shared.letGo();
    const [moved, nowhere] = await reading;
    t.equal(moved!.status, ROW_STATUS.hit);
    t.same(moved!.bytes, payload(1, 5000));
    t.equal(nowhere!.status, ROW_STATUS.miss);
    t.equal(world.shared.loads, 2);
  },
);

t.test('a read into a region follows a block once, not for ever', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const memory = new Uint8Array(UNIT);
  world.io.files.set('r', memory);
  const region = await session.registerRegion({ path: 'r' }, UNIT);
  await put(world, session, namespace, 1, payload(1, 5000), 'shared');
  await put(world, session, namespace, 3, payload(3, 64 * UNIT), 'shared');
  world.shared.holdLoads = true;
  const rows = new Uint32Array(READ_ROW_WORDS);
  const read = (): void | Promise<void> =>
    session.getInto(namespace, region, keysOf(1), Uint32Array.of(0, 0, UNIT), 1, 1000, rows);
  const unlucky = read();
  for (let turn = 0; turn < 2; turn++) {
    move(world);
    world.shared.letGo();
    await world.clock.advance(1);
  }
  await unlucky;
  t.equal(rows[READ_ROW.status], ROW_STATUS.miss);
  const lucky = read();
  move(world);
  world.shared.holdLoads = false;
  world.shared.letGo();
  await lucky;
  t.equal(rows[READ_ROW.status], ROW_STATUS.hit);
  t.same(memory.subarray(0, 5000), payload(1, 5000));
});
