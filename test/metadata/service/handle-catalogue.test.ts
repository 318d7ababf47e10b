import t from 'tap';
import { FINGERPRINT } from '../../fixtures/directory-world.ts';
import { ServiceWorld, type TestNode } from '../../fixtures/service-world.ts';

async function segmentOf(node: TestNode, id: number): Promise<number> {
  const { node: name, epoch } = node.cluster.lease;
  const namespace = (await node.directory.openNamespace(FINGERPRINT)).index;
  const fields = { id: new Uint8Array(16).fill(id), namespace, node: name, epoch, sizeBytes: 8 << 20 };
  return (await node.directory.createSegment(fields)).index;
}

t.test('nobody closes an open segment of a node that holds its lease', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const segment = await segmentOf(a, 1);
  for (const state of ['sealed', 'abandoned', 'dead'] as const)
    await t.rejects(b.directory.moveSegment(segment, 'open', state, 4096), { code: 'ERR_FENCED' });
  t.match(world.local.segment(segment), { state: 'open', endBytes: 0 });
  t.equal(await a.directory.moveSegment(segment, 'open', 'sealed', 4096), true, 'its owner does');
  t.equal(
    await b.directory.moveSegment(segment, 'sealed', 'dead', 4096),
    true,
    'a closed one an heir may condemn',
  );
  t.match(world.service.status, { fenced: 3 });
  await world.stop();
});

t.test('after a restart of the service a presumed owner is one that holds its lease', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const segment = await segmentOf(a, 1);
  a.channel.state = 'cut';
  await world.restart();
  await world.clock.advance(3000);
  await t.rejects(b.directory.moveSegment(segment, 'open', 'abandoned', 4096), { code: 'ERR_FENCED' });
  await world.clock.advance(12_000);
  t.match(world.local.segment(segment), { state: 'abandoned' }, 'its lease has ended');
  await world.stop();
});

t.test('segments of a service whose commits are durable say so, for the next recovery', async (t) => {
  for (const durableCommits of [true, false]) {
    const world = await new ServiceWorld({ durableCommits }).start();
    const a = await world.joined('a');
    const segment = await segmentOf(a, 1);
    t.equal(world.local.segment(segment)?.durableCommits ?? false, durableCommits);
    await a.directory.moveSegment(segment, 'open', 'abandoned', 4096);
    await world.restart();
    t.equal(world.local.segment(segment)?.durableCommits ?? false, durableCommits, 'kept in the database');
    await world.stop();
  }
});
