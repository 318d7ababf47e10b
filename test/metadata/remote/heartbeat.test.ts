import { LOCATION_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { FINGERPRINT, keysOf, rowsOf } from '../../fixtures/directory-world.ts';
import { ServiceWorld } from '../../fixtures/service-world.ts';

t.test(
  'a node whose change is refused as fenced joins again at once, not with its next heartbeat',
  async (t) => {
    const world = await new ServiceWorld().start();
    const a = await world.joined('a');
    await world.clock.advance(2500);
    const { epoch } = a.cluster.lease;
    const namespace = (await a.directory.openNamespace(FINGERPRINT)).index;
    const fields = { id: new Uint8Array(16).fill(1), namespace, node: 'a', epoch, sizeBytes: 8 << 20 };
    const { index } = await a.directory.createSegment(fields);
    const epochs: number[] = [];
    a.cluster.lease.onEpoch = (next) => void epochs.push(next);
    await world.local.acquireEpoch('a');
    const refused = a.directory.commit('a', epoch, rowsOf(index, 0, 1), 1, new Uint8Array(1));
    await t.rejects(refused, { code: 'ERR_FENCED' });
    await world.clock.advance(100);
    t.equal(epochs.length, 1);
    t.equal(a.cluster.lease.isHeld, true);
    const next = { ...fields, id: new Uint8Array(16).fill(2), epoch: epochs[0]! };
    t.match(await a.directory.createSegment(next), { state: 'open' });
    await world.stop();
  },
);

t.test('a node that hears of a directory made anew joins it at once', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await world.clock.advance(2500);
  const epochs: number[] = [];
  a.cluster.lease.onEpoch = (next) => void epochs.push(next);
  await b.directory.reset();
  await a.directory.lookup(0, keysOf(0, 1), 1, new Uint32Array(LOCATION_ROW_WORDS));
  await world.clock.advance(100);
  t.equal(epochs.length, 1);
  await world.stop();
});

t.test('changes that are refused again and again cause no flood of heartbeats', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await world.clock.advance(2500);
  const { epoch } = b.cluster.lease;
  const namespace = (await b.directory.openNamespace(FINGERPRINT)).index;
  const fields = { id: new Uint8Array(16).fill(1), namespace, node: 'b', epoch, sizeBytes: 8 << 20 };
  const { index } = await b.directory.createSegment(fields);
  const before = a.channel.requests;
  for (let i = 0; i < 100; i++)
    await t.rejects(a.directory.moveSegment(index, 'open', 'abandoned', 0), { code: 'ERR_FENCED' });
  await world.clock.advance(100);
  const beats = a.channel.requests - before - 100;
  t.ok(beats >= 1 && beats <= 6, `${beats} heartbeats in 100 ms`);
  await world.stop();
});
