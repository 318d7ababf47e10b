import t from 'tap';
import { createWorld, get, openSession, payload, put, UNIT } from '../../fixtures/node-world.ts';

t.test('the status has the percentiles of what was read from each tier', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10), 'shared');
  await put(world, session, namespace, 2, payload(2, 64 * UNIT), 'shared');
  world.shared.holdLoads = true;
  const reading = get(world, session, namespace, [1]);
  await world.clock.advance(8);
  world.shared.letGo();
  await reading;
  await get(world, session, namespace, [1]);
  const { tiers } = world.node.status();
  t.equal(tiers.shared.hits, 1);
  t.equal(tiers.shared.latency.count, 1);
  t.ok(tiers.shared.latency.p50Us >= 8000 && tiers.shared.latency.p99Us <= 8600);
  t.equal(tiers.dram.hits, 1);
  t.equal(tiers.dram.latency.count, 1);
});

t.test('of a call that DRAM answers in part, each tier has its own time', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, 10), 'shared');
  await put(world, session, namespace, 2, payload(2, 64 * UNIT), 'shared');
  await put(world, session, namespace, 3, payload(3, 10), 'shared');
  world.shared.holdLoads = true;
  const reading = get(world, session, namespace, [3, 1]);
  await world.clock.advance(8);
  world.shared.letGo();
  await reading;
  const { dram, shared } = world.node.status().tiers;
  t.match(dram, { hits: 1, latency: { count: 1, p99Us: 0 } }, 'the clock stood still meanwhile');
  t.match(shared, { hits: 1, latency: { count: 1 } });
  t.ok(shared.latency.p50Us >= 8000);
});
