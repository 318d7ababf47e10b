import { RefillError } from '@refill/interface';
import t from 'tap';
import { FINGERPRINT, rowsOf } from '../../fixtures/directory-world.ts';
import { ManualClock, settle } from '../../fixtures/manual-clock.ts';
import { ServiceWorld, type TestNode } from '../../fixtures/service-world.ts';

const TTL_MS = 10_000;
/** Where a join of a node with a name of one letter has its life: after the head and the name. */
const LIFE_AT = 40;

async function openSegment(node: TestNode, id: number, namespace?: number): Promise<number> {
  const index = namespace ?? (await node.directory.openNamespace(FINGERPRINT)).index;
  const segment = await node.directory.createSegment({
    id: new Uint8Array(16).fill(id),
    namespace: index,
    node: node.cluster.lease.node,
    epoch: node.cluster.lease.epoch,
    sizeBytes: 8 << 20,
  });
  return segment.index;
}

function commit(node: TestNode, epoch: number, segment: number, from: number): Promise<void> {
  const accepted = new Uint8Array(1);
  return node.directory.commit(node.cluster.lease.node, epoch, rowsOf(segment, from, 1), 1, accepted);
}

t.test('a lease is renewed by heartbeats, and held by the node for less than by the service', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  t.equal(a.cluster.lease.epoch, 1);
  for (let i = 0; i < 20; i++) {
    await world.clock.advance(TTL_MS / 4);
    t.equal(a.cluster.lease.isHeld, true);
  }
  t.equal(world.local.epochOf('a'), 1, 'no heartbeat was missed');
  a.channel.state = 'silent';
  await world.clock.advance(TTL_MS - 2000);
  t.equal(a.cluster.lease.isHeld, false, 'the node stops first');
  t.equal(world.service.status.members, 1, 'the service has not given up yet');
  await world.clock.advance(4500);
  t.equal(world.service.status.members, 0);
  t.equal(world.local.epochOf('a'), 2, 'the epoch is raised with the end of the lease');
  await world.stop();
});

t.test('a lease that ends: the epoch is raised durably before anything else changes', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  const segment = await openSegment(a, 1);
  await commit(a, 1, segment, 0);
  a.channel.state = 'silent';
  // The disk of the service fails: nothing of the node may change before its epoch is raised.
  const write = world.engine.write;
  world.engine.write = async () => {
    throw new RefillError('ERR_STORAGE_FAILED', 'a disk that fails');
  };
  await world.clock.advance(2 * TTL_MS);
  t.equal(world.service.status.members, 1, 'its lease is not ended');
  t.match(world.local.segment(segment), { state: 'open' });
  t.equal(world.local.epochOf('a'), 1);
  world.engine.write = write;
  await world.clock.advance(1000);
  t.equal(world.local.epochOf('a'), 2);
  t.equal(world.service.status.members, 0);
  t.match(world.local.segment(segment), { state: 'abandoned', endBytes: 2 * 4096 });
  await world.stop();
});

t.test('a node that was stopped and goes on commits nothing under its old epoch', async (t) => {
  const world = await new ServiceWorld().start();
  // Its own clock stands still while it is stopped: it still believes in its lease.
  const clock = new ManualClock();
  const a = await world.joined('a', { clock });
  const segment = await openSegment(a, 1);
  await commit(a, 1, segment, 0);
  await world.clock.advance(TTL_MS + 1000);
  t.equal(a.cluster.lease.isHeld, true, 'it knows nothing');
  await t.rejects(commit(a, 1, segment, 1), { code: 'ERR_FENCED' });
  await t.rejects(a.directory.moveSegment(segment, 'open', 'sealed', 8192), { code: 'ERR_FENCED' });
  await t.rejects(a.directory.remove(0, new Uint32Array(8).fill(1), 1), { code: 'ERR_FENCED' });
  await t.rejects(a.directory.reset(), { code: 'ERR_FENCED' });
  t.equal(world.local.stats.blocks, 1, 'what was committed before stays');
  t.match(world.local.segment(segment), { state: 'abandoned' });

  const epochs: number[] = [];
  a.cluster.lease.onEpoch = (epoch) => epochs.push(epoch);
  await clock.advance(2500);
  t.same(epochs, [3], 'it joins again, under a new epoch');
  t.equal(a.cluster.lease.isHeld, true);
  await t.rejects(commit(a, 1, segment, 1), { code: 'ERR_FENCED' });
  await commit(a, 3, await openSegment(a, 2, 0), 1);
  t.equal(world.local.stats.blocks, 2);
  await world.stop();
});

t.test('a node that outlives database and catalogue goes on under a greater epoch than it had', async (t) => {
  const world = await new ServiceWorld().start();
  for (let n = 0; n < 5; n++) await world.local.acquireEpoch('another');
  const a = await world.joined('a');
  const epochs: number[] = [];
  a.cluster.lease.onEpoch = (epoch) => epochs.push(epoch);
  t.equal(a.cluster.lease.epoch, 6);
  await world.stop();
  await world.engine.clear({ gte: Uint8Array.of(0), lt: Uint8Array.of(255) });
  world.files.content.clear();
  await world.start();
  await world.clock.advance(TTL_MS);
  t.same(epochs, [7]);
  t.equal(a.cluster.lease.isHeld, true);
  t.same(world.failures, []);
  await world.stop();
});

t.test('a commit that was sent under the old epoch and arrives late is refused', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  const segment = await openSegment(a, 1);
  a.channel.state = 'silent';
  const late = commit(a, 1, segment, 0);
  late.catch(() => {});
  await settle();
  const message = a.channel.sent.at(-1)!;
  await world.clock.advance(2 * TTL_MS);
  await t.rejects(a.channel.deliver(message), { code: 'ERR_FENCED' });
  t.equal(world.local.stats.blocks, 0);
  a.channel.state = 'open';
  await world.clock.advance(5000);
  await t.rejects(late, { code: 'ERR_FENCED' }, 'the node has another epoch by now');
  await world.stop();
});

t.test('a restarted service fences nobody: nodes go on under their epochs', async (t) => {
  const world = await new ServiceWorld().start();
  const nodes = await Promise.all(['a', 'b', 'c'].map((name) => world.joined(name)));
  const segments: number[] = [];
  for (const [i, node] of nodes.entries()) segments.push(await openSegment(node, i + 1));
  const epochs: number[] = [];
  for (const node of nodes) node.cluster.lease.onEpoch = (epoch) => epochs.push(epoch);
  await world.restart();
  await commit(nodes[0]!, nodes[0]!.cluster.lease.epoch, segments[0]!, 0);
  t.equal(world.local.stats.blocks, 1, 'also before it has renewed');
  await world.clock.advance(TTL_MS * 3);
  t.same(epochs, []);
  t.equal(world.service.status.members, 3);
  for (const [i, node] of nodes.entries()) {
    t.match(world.local.segment(segments[i]!), { state: 'open' });
    await commit(node, node.cluster.lease.epoch, segments[i]!, 10 + i);
  }
  await world.stop();
});

t.test(
  'a node that died while the service was away loses its lease a whole life after the restart',
  async (t) => {
    const world = await new ServiceWorld().start();
    const a = await world.joined('a');
    const segment = await openSegment(a, 1);
    a.channel.state = 'silent';
    await world.restart();
    await world.clock.advance(TTL_MS - 1000);
    t.equal(world.local.epochOf('a'), 1);
    await world.clock.advance(2000);
    t.equal(world.local.epochOf('a'), 2);
    t.match(world.local.segment(segment), { state: 'abandoned', endBytes: 0 });
    await world.stop();
  },
);

t.test('of two nodes of one name the second is refused, unless it is the same peer', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  await t.rejects(world.joined('a', { peer: 'another' }), { code: 'ERR_NODE_IDENTITY_TAKEN' });
  await t.rejects(
    world.joined('b', { peer: 'peer-a', joinMs: 1 }),
    { code: 'ERR_LIMIT' },
    'one peer, one name',
  );
  const again = await world.joined('a');
  t.equal(again.cluster.lease.epoch, 2, 'a restart takes over at once');
  const segment = await openSegment(again, 1);
  await t.rejects(commit(a, 1, segment, 0), { code: 'ERR_FENCED' });
  await again.cluster.stop();
  const other = await world.joined('a', { peer: 'another' });
  t.equal(other.cluster.lease.epoch, 4, 'a name that was left is free');
  t.match(world.local.segment(segment), { state: 'abandoned' });
  await world.stop();
});

t.test('a join that comes twice, or late, is one', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  await a.channel.deliver(a.channel.sent[0]!);
  t.equal(world.local.epochOf('a'), 1);
  t.equal(world.service.status.members, 1);
  await world.clock.advance(TTL_MS * 2);
  t.equal(a.cluster.lease.epoch, 1);
  await world.stop();
});

t.test('floods of joins and of nodes are bounded', async (t) => {
  const world = await new ServiceWorld({ membersMax: 5 }).start();
  const a = await world.joined('a');
  const join = a.channel.sent[0]!;
  let refused = 0;
  for (let i = 0; i < 100; i++) {
    const message = join.slice();
    // Another attempt of another life each time.
    new DataView(message.buffer).setUint32(LIFE_AT, i + 1000, true);
    await a.channel.deliver(message).catch((error: RefillError) => {
      if (error.code === 'ERR_LIMIT') refused++;
    });
  }
  t.ok(refused > 50, `${refused} were refused`);
  for (let i = 0; i < 4; i++) await world.joined(`n${i}`);
  await t.rejects(world.joined('one-more', { joinMs: 1 }), { code: 'ERR_LIMIT' });
  await world.stop();
});

t.test('a message in the name of another peer’s node changes nothing', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  const b = await world.joined('b');
  const segment = await openSegment(a, 1);
  await t.rejects(b.directory.commit('a', 1, rowsOf(segment, 0, 1), 1, new Uint8Array(1)), {
    code: 'ERR_UNAUTHORIZED',
  });
  await t.rejects(b.directory.acquireEpoch('a'), { code: 'ERR_NODE_IDENTITY_TAKEN' });
  // A heartbeat of a, said by b.
  await world.clock.advance(2500);
  const beat = a.channel.sent.at(-1)!;
  await b.channel.deliver(beat);
  a.channel.state = 'silent';
  for (let i = 0; i < 5; i++) {
    await world.clock.advance(TTL_MS / 4);
    await b.channel.deliver(beat);
  }
  t.ok(world.local.epochOf('a') > 1, 'it does not renew the lease');
  await world.stop();
});

t.test('a draining node is shown as such and ranked no more', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  const b = await world.joined('b');
  await world.clock.advance(2500);
  t.same(
    b.cluster.members.map(({ node, state }) => [node, state]),
    [
      ['a', 'live'],
      ['b', 'live'],
    ],
  );
  a.cluster.drain();
  await world.clock.advance(5000);
  t.match(b.cluster.member(1), { node: 'a', state: 'draining' });
  await a.cluster.stop();
  await world.clock.advance(2500);
  t.equal(b.cluster.member(1), undefined);
  await world.stop();
});
