import { PUT_STATUS } from '@refill/interface';
import t from 'tap';
import { settle } from '../../fixtures/manual-clock.ts';
import { createWorld, get, openSession, payload, put, putsOf, UNIT } from '../../fixtures/node-world.ts';

t.test('a copy under way keeps its slot, whatever slots its client names meanwhile', async (t) => {
  for (const durability of ['memory', 'shared'] as const) {
    const world = await createWorld({ paneUnits: [8] });
    const [liar, other] = [await openSession(world, 'liar'), await openSession(world, 'other')];
    const memory = payload(7, UNIT);
    world.io.files.set('r', memory);
    const region = await liar.session.registerRegion({ path: 'r' }, UNIT);
    const statuses = new Uint32Array(1);
    world.io.holdCopies = true;
    const copying = liar.session.putFrom(
      liar.namespace,
      region,
      putsOf({ key: 1, lengthBytes: UNIT - 1 }),
      Uint32Array.of(1, 0, UNIT - 1),
      1,
      durability,
      1000,
      statuses,
    );
    // What a client does that guesses slots, in the same write as its put.
    let refused = 0;
    for (let slot = 0; slot < 64; slot++) {
      for (const call of [
        () => liar.session.abort(Uint32Array.of(slot), 1),
        () => liar.session.commit(Uint32Array.of(slot), 1, 'memory', 1000, new Uint32Array(1)),
      ]) {
        try {
          call();
          t.fail(`slot ${slot} was taken from under the copy`);
        } catch {
          refused++;
        }
      }
    }
    t.equal(refused, 128);
    for (let key = 10; key < 14; key++) {
      t.equal(
        await put(world, other.session, other.namespace, key, payload(key, UNIT)),
        PUT_STATUS.stored,
        'another client gets room of its own',
      );
    }
    await settle();
    world.io.letCopiesGo();
    await copying;
    t.equal(statuses[0], PUT_STATUS.stored);
    const blocks = await get(world, other.session, other.namespace, [10, 11, 12, 13]);
    for (const [i, block] of blocks.entries())
      t.ok(Buffer.compare(block.bytes, payload(10 + i, UNIT)) === 0, 'untouched');
    const [own] = await get(world, liar.session, liar.namespace, [1]);
    t.ok(Buffer.compare(own!.bytes, memory.subarray(1)) === 0, 'the block has the bytes of the region');
  }
});

t.test('a session that ends while a copy waits for room leaves nothing', async (t) => {
  const world = await createWorld({ paneUnits: [4] });
  const [first, second] = [await openSession(world, 'a'), await openSession(world, 'b')];
  world.shared.holdStores = true;
  for (const key of [1, 2]) await put(world, first.session, first.namespace, key, payload(key, UNIT));
  world.io.files.set('r', new Uint8Array(4 * UNIT));
  const region = await second.session.registerRegion({ path: 'r' }, 4 * UNIT);
  const puts = putsOf(...[5, 6, 7, 8].map((key) => ({ key, lengthBytes: UNIT })));
  const places = Uint32Array.from({ length: 12 }, (_, i) =>
    i % 3 === 0 ? (i / 3) * UNIT : i % 3 === 1 ? 0 : UNIT,
  );
  const copying = second.session.putFrom(
    second.namespace,
    region,
    puts,
    places,
    4,
    'memory',
    1000,
    new Uint32Array(4),
  ) as Promise<void>;
  await settle();
  second.session.close();
  const ended = t.rejects(copying, { code: 'ERR_NODE_CLOSED' } as never);
  await world.clock.advance(10_000);
  await ended;
  world.shared.holdStores = false;
  world.shared.letGo();
  await world.clock.advance(10_000);
  t.equal(world.node.status().arena.usedBytes, 2 * UNIT, 'the two blocks of the first session');
  t.equal(world.io.regions.size, 0);
});
