import { LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { FINGERPRINT, keysOf, rowsOf } from '../../fixtures/directory-world.ts';
import { settle } from '../../fixtures/manual-clock.ts';
import { ServiceWorld, type TestNode } from '../../fixtures/service-world.ts';

async function filled(node: TestNode, count: number): Promise<number> {
  const { directory, cluster } = node;
  const { node: name, epoch } = cluster.lease;
  const namespace = (await directory.openNamespace(FINGERPRINT)).index;
  const { index } = await directory.createSegment({
    id: new Uint8Array(16).fill(1),
    namespace,
    node: name,
    epoch,
    sizeBytes: 8 << 20,
  });
  await directory.commit(name, epoch, rowsOf(index, 0, count), count, new Uint8Array(count));
  return index;
}

async function hits(node: TestNode, from: number, count: number): Promise<number> {
  const rows = new Uint32Array(count * LOCATION_ROW_WORDS).fill(9);
  await node.directory.lookup(0, keysOf(from, count), count, rows);
  let found = 0;
  for (let i = 0; i < count; i++) found += rows[i * LOCATION_ROW_WORDS + LOCATION_ROW.found]!;
  return found;
}

t.test('reads go on from the cache and the last checkpoint while the service is away', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await filled(a, 1000);
  await a.directory.checkpoint();
  t.equal(await hits(b, 0, 100), 100);
  b.channel.state = 'cut';
  const before = b.channel.requests;
  t.equal(b.directory.lookup(0, keysOf(0, 100), 100, new Uint32Array(100 * LOCATION_ROW_WORDS)), undefined);
  t.equal(b.channel.requests, before, 'cached locations ask nobody');
  t.equal(await hits(b, 50, 950), 950, 'the rest comes from the checkpoint');
  t.equal(await b.directory.matchPrefix(0, keysOf(0, 1000), 1000), 1000);
  t.equal(await hits(b, 990, 20), 10, 'what nobody knows is a miss');
  b.channel.state = 'open';
  await world.clock.advance(3000);
  t.equal(await hits(b, 990, 20), 10);
  t.equal(b.cluster.lease.isHeld, true, 'it goes on without a restart');
  await world.stop();
});

t.test('a lookup that gets no answer is answered from what is known, at its deadline', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b', { lookupMs: 300 })];
  await filled(a, 10);
  await a.directory.checkpoint();
  await world.clock.advance(2500);
  b.channel.state = 'silent';
  let found: number | undefined;
  const looking = hits(b, 0, 10).then((count) => (found = count));
  await world.clock.advance(299);
  t.equal(found, undefined);
  await world.clock.advance(1);
  t.equal(await looking, 10);
  t.equal(await hits(b, 0, 10), 10, 'the next one does not wait at all');
  await world.stop();
});

t.test('a checkpoint of another life of the directory is not believed', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  await filled(a, 10);
  await a.directory.checkpoint();
  const old = new Map(world.files.content);
  await a.directory.reset();
  await world.clock.advance(3000);
  await filled(a, 1);
  for (const [path, bytes] of old) if (path.startsWith('checkpoints/')) world.files.content.set(path, bytes);
  a.channel.state = 'cut';
  await hits(a, 100, 1);
  t.equal(await hits(a, 0, 10), 1);
  await world.stop();
});

t.test('commits wait for the service within a bound, beyond it they are refused at once', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a', { writeDeadlineMs: 8000, writeRowsMax: 100 });
  const segment = await filled(a, 1);
  a.channel.state = 'cut';
  const outcomes: string[] = [];
  const commit = (from: number, count: number): void => {
    void a.directory.commit('a', 1, rowsOf(segment, from, count), count, new Uint8Array(count)).then(
      () => outcomes.push(`${from} stored`),
      (error: { code: string }) => outcomes.push(`${from} ${error.code}`),
    );
  };
  commit(10, 60);
  await settle();
  commit(100, 60);
  await settle();
  t.same(outcomes, ['100 ERR_METADATA_UNAVAILABLE'], 'no room to wait');
  a.channel.state = 'open';
  await world.clock.advance(3000);
  t.same(outcomes.slice(1), ['10 stored']);
  a.channel.state = 'cut';
  commit(200, 60);
  await world.clock.advance(7000);
  t.equal(outcomes.length, 2);
  await world.clock.advance(1500);
  t.same(outcomes.slice(2), ['200 ERR_METADATA_UNAVAILABLE'], 'at its deadline');
  await world.stop();
});

t.test('a change whose answer was lost is asked for again, and done once', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  const segment = await filled(a, 1);
  const lost = async <T>(change: Promise<T>): Promise<T> => {
    await settle();
    await world.clock.advance(9000);
    return change;
  };
  for (const [what, change] of [
    ['commit', () => a.directory.commit('a', 1, rowsOf(segment, 5, 1), 1, new Uint8Array(1))],
    [
      'createSegment',
      () =>
        a.directory.createSegment({
          id: new Uint8Array(16).fill(7),
          namespace: 0,
          node: 'a',
          epoch: 1,
          sizeBytes: 1 << 23,
        }),
    ],
    ['moveSegment', () => a.directory.moveSegment(segment, 'open', 'sealed', 4096 * 9)],
  ] as const) {
    a.channel.state = 'deaf';
    const waiting = change();
    await settle();
    a.channel.state = 'open';
    const result = await lost(waiting as Promise<unknown>);
    t.not(result, false, what);
  }
  t.equal(world.local.stats.blocks, 2);
  t.equal(world.local.stats.segments, 2);
  t.match(world.local.segment(segment), { state: 'sealed' });
  t.same(world.failures, []);
  await world.stop();
});

t.test('a location that is gone leaves the cache, and the next lookup asks', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const segment = await filled(a, 3);
  t.equal(await hits(b, 0, 3), 3);
  t.equal(await b.directory.removeAt(0, keysOf(1, 1), segment, 99), false, 'it lies elsewhere');
  t.equal(await b.directory.removeAt(0, keysOf(1, 1), segment, 2), true);
  const before = b.channel.requests;
  t.equal(await hits(b, 0, 3), 2);
  t.equal(b.channel.requests, before + 1);
  await world.stop();
});

t.test('the service stays away: heartbeats end the lease on the node, and writes stop', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a', { writeDeadlineMs: 1000 });
  const segment = await filled(a, 1);
  a.channel.state = 'cut';
  await world.clock.advance(9000);
  t.equal(a.cluster.lease.isHeld, false);
  const refused = t.rejects(a.directory.commit('a', 1, rowsOf(segment, 5, 1), 1, new Uint8Array(1)), {
    code: 'ERR_METADATA_UNAVAILABLE',
  });
  await world.clock.advance(1500);
  await refused;
  await t.rejects(a.cluster.locate(0, keysOf(0, 1), 1, 1, 100), { code: 'ERR_METADATA_UNAVAILABLE' });
  await world.stop();
});

t.test('who must know asks the service, and is refused while that is away', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b', { writeDeadlineMs: 1000 })];
  await filled(a, 3000);
  await a.directory.checkpoint();
  t.equal(await hits(b, 0, 3000), 3000, 'cached');
  // The change log tells b of it only with its next answer.
  await a.directory.remove(0, keysOf(1, 1), 1);
  const rows = new Uint32Array(3001 * LOCATION_ROW_WORDS);
  const ask = async (): Promise<number> => {
    await b.directory.lookup(0, keysOf(0, 3001), 3001, rows, { certain: true });
    return rows
      .filter((_, i) => i % LOCATION_ROW_WORDS === LOCATION_ROW.found)
      .reduce((sum, one) => sum + one, 0);
  };
  t.equal(await ask(), 2999);
  b.channel.state = 'cut';
  const refused = t.rejects(ask(), { code: 'ERR_METADATA_UNAVAILABLE' });
  await world.clock.advance(1500);
  await refused;
  t.equal(await hits(b, 2, 1), 1, 'a read still goes on from what is known');
  await world.stop();
});

t.test("a file of another node that is not to be seen leaves this node's cache only", async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const segment = await filled(a, 3);
  t.equal(await hits(b, 0, 3), 3);
  t.equal(await b.directory.removeGone(0, keysOf(1, 1), segment, 2), false);
  const before = b.channel.requests;
  t.equal(await hits(b, 0, 3), 3, 'it is asked for anew, and still there');
  t.equal(b.channel.requests, before + 1);
  t.equal(await a.directory.removeGone(0, keysOf(1, 1), segment, 99), false, 'it lies elsewhere');
  t.equal(await a.directory.removeGone(0, keysOf(1, 1), segment, 2), true, 'its owner knows');
  t.equal(world.local.stats.blocks, 2);
  await world.stop();
});

t.test('what was deleted since the last checkpoint is not shown from it', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  const segment = await filled(a, 10);
  await a.directory.checkpoint();
  await a.directory.remove(0, keysOf(1, 2), 2);
  await a.directory.commit('a', 1, rowsOf(segment, 2, 1), 1, new Uint8Array(1));
  await world.clock.advance(2500);
  b.channel.state = 'cut';
  t.equal(await hits(b, 0, 10), 8);
  t.equal(await hits(b, 1, 1), 0);
  b.channel.state = 'open';
  await world.clock.advance(3000);
  t.equal(await hits(b, 0, 10), 9, 'one was put again');
  await a.directory.checkpoint();
  const c = await world.joined('c');
  await a.directory.checkpoint();
  c.channel.state = 'cut';
  t.equal(await hits(c, 0, 10), 9);
  await world.stop();
});

t.test('a node that cannot know what was deleted since a checkpoint does without it', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await filled(a, 5000);
  await a.directory.checkpoint();
  await a.directory.remove(0, keysOf(0, 4500), 4500);
  await world.clock.advance(2500);
  b.channel.state = 'cut';
  t.equal(await hits(b, 0, 5000), 0, 'more than the service tells one by one');
  b.channel.state = 'open';
  await world.clock.advance(3000);
  t.equal(await hits(b, 0, 5000), 500);
  const late = await world.joined('late');
  late.channel.state = 'cut';
  t.equal(await hits(late, 0, 5000), 0, 'it came after the checkpoint was written');
  // The machine of the service dies: no checkpoint of its stop.
  await world.service.stop();
  await world.start();
  const next = await world.joined('next');
  next.channel.state = 'cut';
  t.equal(await hits(next, 0, 5000), 0, 'of another life of the service');
  await world.clock.advance(3000);
  await a.directory.checkpoint();
  next.channel.state = 'open';
  await world.clock.advance(3000);
  t.equal(await hits(next, 5000, 1), 0);
  next.channel.state = 'cut';
  t.equal(await hits(next, 0, 5000), 500);
  await world.stop();
});
