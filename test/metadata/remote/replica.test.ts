import { LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { FINGERPRINT, keysOf, rowsOf } from '../../fixtures/directory-world.ts';
import { ServiceWorld, type TestNode } from '../../fixtures/service-world.ts';

async function segmentOf(node: TestNode, id: number, namespace = 0): Promise<number> {
  const { lease } = node.cluster;
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, id);
  const fields = { id: bytes, namespace, node: lease.node, epoch: lease.epoch, sizeBytes: 8 << 20 };
  return (await node.directory.createSegment(fields)).index;
}

async function found(node: TestNode, n: number): Promise<boolean> {
  const row = new Uint32Array(LOCATION_ROW_WORDS);
  await node.directory.lookup(0, keysOf(n, 1), 1, row);
  return row[LOCATION_ROW.found] === 1;
}

t.test('a location comes with the segment that it names', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await a.directory.openNamespace(FINGERPRINT);
  const segment = await segmentOf(a, 1);
  await a.directory.commit('a', a.cluster.lease.epoch, rowsOf(segment, 0, 1), 1, new Uint8Array(1));
  t.equal(b.directory.segment(segment), undefined);
  t.equal(await found(b, 0), true);
  t.match(b.directory.segment(segment), { state: 'open', node: 'a' });
  t.match(b.directory.namespace(0)?.fingerprint, { name: 'tests' });
  t.match(
    b.cluster.members.map(({ node }) => node),
    ['a', 'b'],
  );
  await world.stop();
});

t.test('thousands of segments come in pages, and changes meanwhile are not missed', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  await a.directory.openNamespace(FINGERPRINT);
  for (let i = 0; i < 9000; i++) await segmentOf(a, i + 1);
  const b = await world.joined('b');
  t.equal(b.directory.segments().length, 9000, 'a copy');
  b.channel.state = 'cut';
  for (let i = 0; i < 6000; i++) await segmentOf(a, i + 10_001);
  b.channel.state = 'open';
  await world.clock.advance(2500);
  t.equal(b.directory.segments().length, 15_000, 'changes, of which one answer holds only some');
  await world.stop();
});

t.test(
  'another life of the service is taken as a whole copy, and the old replica answers until it is complete',
  async (t) => {
    const world = await new ServiceWorld().start();
    const a = await world.joined('a');
    await a.directory.openNamespace(FINGERPRINT);
    for (let i = 0; i < 9000; i++) await segmentOf(a, i + 1);
    const b = await world.joined('b');
    const held = b.directory.segment(5)!;
    await world.restart();
    await world.clock.advance(3000);
    await a.directory.moveSegment(5, 'open', 'sealed', 4096);
    const { request } = b.channel;
    let pages = 0;
    let letGo = (): void => {};
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    b.channel.state = 'open';
    b.channel.request = async (body, deadlineMs) => {
      const words = new Uint32Array(body.slice().buffer);
      // A page of a copy: type 4, and 1 behind the head.
      if (words[0] === 4 && words[8] === 1 && ++pages === 2) await gate;
      return request.call(b.channel, body, deadlineMs);
    };
    await world.restart();
    const asking = found(b, 0);
    await world.clock.advance(500);
    t.equal(pages, 2, 'the copy is under way');
    t.equal(b.directory.segments().length, 9000);
    t.equal(b.directory.namespace(0)?.fingerprint.name, 'tests');
    letGo();
    await asking;
    t.ok(pages > 2);
    t.equal(b.directory.segments().length, 9000);
    t.match(b.directory.segment(5), { state: 'sealed' });
    t.equal(b.directory.segment(5), held, 'who holds a record sees it change');
    await world.stop();
  },
);

t.test('a replica that is too old for changes is answered by a whole copy', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await a.directory.openNamespace(FINGERPRINT);
  const segment = await segmentOf(a, 1);
  await world.clock.advance(2500);
  await a.directory.moveSegment(segment, 'open', 'sealed', 4096);
  // More than are remembered one by one.
  for (let i = 0; i < 70_000; i++) world.local.changes.note(1, 0);
  const copies = b.channel.sent.length;
  await found(b, 0);
  t.match(b.directory.segment(segment), { state: 'sealed' });
  t.ok(b.channel.sent.slice(copies).some((body) => new DataView(body.buffer).getUint32(0, true) === 4));
  await world.stop();
});

t.test('a deletion leaves the caches of others', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await a.directory.openNamespace(FINGERPRINT);
  const segment = await segmentOf(a, 1);
  await a.directory.commit('a', a.cluster.lease.epoch, rowsOf(segment, 0, 5000), 5000, new Uint8Array(5000));
  for (const n of [0, 1, 2, 4999]) t.equal(await found(b, n), true);
  await a.directory.remove(0, keysOf(1, 1), 1);
  await world.clock.advance(2500);
  t.equal(await found(b, 1), false);
  t.equal(await found(b, 2), true);
  await a.directory.remove(0, keysOf(0, 5000), 5000);
  await world.clock.advance(2500);
  for (const n of [0, 2, 4999]) t.equal(await found(b, n), false, 'more than are remembered one by one');
  await world.stop();
});

t.test('a deletion is told to the store of every node, with its next heartbeat at the latest', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await a.directory.openNamespace(FINGERPRINT);
  const segment = await segmentOf(a, 1);
  await a.directory.commit('a', a.cluster.lease.epoch, rowsOf(segment, 0, 5000), 5000, new Uint8Array(5000));
  await world.clock.advance(2500);
  const told: string[] = [];
  b.cluster.onRemoved = (namespace, key) => void told.push(`${namespace}:${key.join()}`);
  let missed = 0;
  b.cluster.onRemovalsMissed = () => void missed++;
  await a.directory.remove(0, keysOf(1, 2), 2);
  await world.clock.advance(2000);
  t.same(told, [`0:${keysOf(1, 1).join()}`, `0:${keysOf(2, 1).join()}`]);
  t.equal(missed, 0);
  await a.directory.remove(0, keysOf(0, 5000), 5000);
  await world.clock.advance(2000);
  t.equal(missed, 1, 'more than are remembered one by one');
  await world.restart();
  await world.clock.advance(3000);
  t.equal(missed, 2, 'another life of the service');
  await world.stop();
});

t.test('a condemned segment is not read from the cache', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await a.directory.openNamespace(FINGERPRINT);
  const segment = await segmentOf(a, 1);
  await a.directory.commit('a', a.cluster.lease.epoch, rowsOf(segment, 0, 2), 2, new Uint8Array(2));
  t.equal(await found(b, 0), true);
  await a.directory.moveSegment(segment, 'open', 'sealed', 4096);
  // Not by `remove`, of which caches hear: as compaction will do it.
  for (const n of [0, 1]) await a.directory.removeAt(0, keysOf(n, 1), segment, n + 1);
  await a.directory.moveSegment(segment, 'sealed', 'dead', 4096);
  await world.clock.advance(2500);
  const before = b.channel.requests;
  t.equal(await found(b, 0), false);
  t.equal(b.channel.requests, before + 1);
  await world.stop();
});

t.test('a directory made anew: everything that was known goes, nodes write under new epochs', async (t) => {
  const world = await new ServiceWorld().start();
  const [a, b] = [await world.joined('a'), await world.joined('b')];
  await a.directory.openNamespace(FINGERPRINT);
  const segment = await segmentOf(a, 1);
  const { epoch } = a.cluster.lease;
  await a.directory.commit('a', epoch, rowsOf(segment, 0, 1), 1, new Uint8Array(1));
  t.equal(await found(b, 0), true);
  const epochs: number[] = [];
  a.cluster.lease.onEpoch = (next) => epochs.push(next);
  await b.directory.reset();
  t.equal(await found(a, 7), false, 'the first answer tells');
  t.equal(await found(a, 0), false);
  t.equal(a.directory.segments().length, 0);
  await t.rejects(a.directory.commit('a', epoch, rowsOf(segment, 1, 1), 1, new Uint8Array(1)), {
    code: 'ERR_FENCED',
  });
  await world.clock.advance(5000);
  t.equal(epochs.length, 1);
  await a.directory.openNamespace(FINGERPRINT);
  const next = await segmentOf(a, 2);
  await a.directory.commit('a', epochs[0]!, rowsOf(next, 0, 1), 1, new Uint8Array(1));
  await world.clock.advance(2500);
  t.equal(await found(b, 0), true);
  await world.stop();
});

t.test(
  'a namespace keeps its index when the directory is made anew, and when its database is lost',
  async (t) => {
    const world = await new ServiceWorld().start();
    const [a, b] = [await world.joined('a'), await world.joined('b')];
    const other = { ...FINGERPRINT, name: 'other' };
    t.equal((await a.directory.openNamespace(FINGERPRINT)).index, 0);
    t.equal((await a.directory.openNamespace(other)).index, 1);
    await b.directory.reset();
    await world.clock.advance(3000);
    t.equal((await b.directory.openNamespace(other)).index, 1);
    t.equal(a.directory.namespace(0)?.fingerprint.name, 'tests');
    await world.stop();
    await world.engine.clear({ gte: Uint8Array.of(0), lt: Uint8Array.of(255) });
    await world.start();
    await world.clock.advance(3000);
    t.equal((await b.directory.openNamespace(other)).index, 1, 'from the copy on the shared file system');
    t.equal(a.directory.namespace(0)?.fingerprint.name, 'tests');
    await world.stop();
  },
);

t.test('an index that means another namespace is refused, never read as the one it meant', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  const other = { ...FINGERPRINT, name: 'other' };
  await a.directory.openNamespace(FINGERPRINT);
  const segment = await segmentOf(a, 1);
  await a.directory.commit('a', a.cluster.lease.epoch, rowsOf(segment, 0, 1), 1, new Uint8Array(1));
  t.equal(await found(a, 0), true);
  // The database and the copy of the catalogue: namespaces are counted from the start, by who comes first.
  await world.stop();
  await world.engine.clear({ gte: Uint8Array.of(0), lt: Uint8Array.of(255) });
  world.files.content.clear();
  await world.start();
  const c = await world.joined('c');
  t.equal((await c.directory.openNamespace(other)).index, 0);
  const next = await segmentOf(c, 2);
  await c.directory.commit('c', c.cluster.lease.epoch, rowsOf(next, 0, 8), 8, new Uint8Array(8));
  t.equal(await found(c, 7), true);
  t.equal(await found(a, 7), false, 'that key is in another namespace');
  t.equal(await found(a, 0), false);
  t.equal(await a.directory.matchPrefix(0, keysOf(0, 1), 1), 0);
  await world.clock.advance(3000);
  t.equal(a.directory.namespace(0), undefined);
  t.equal(await found(a, 0), false);
  await t.rejects(a.directory.openNamespace(other), { code: 'ERR_NAMESPACE_UNKNOWN', message: /Restart/ });
  t.equal((await a.directory.openNamespace(FINGERPRINT)).index, 1, 'it is found again by its fingerprint');
  await world.stop();
});

t.test(
  'a change that waited while the directory was made anew is not done: its indexes mean nothing',
  async (t) => {
    const world = await new ServiceWorld().start();
    const [a, b] = [await world.joined('a'), await world.joined('b')];
    await a.directory.openNamespace(FINGERPRINT);
    const segment = await segmentOf(a, 1);
    await a.directory.commit('a', a.cluster.lease.epoch, rowsOf(segment, 0, 1), 1, new Uint8Array(1));
    a.channel.state = 'cut';
    await found(a, 7);
    const removing = a.directory.remove(0, keysOf(0, 1), 1);
    const refused = t.rejects(removing, { code: 'ERR_FENCED' });
    await b.directory.reset();
    await world.clock.advance(1000);
    a.channel.state = 'open';
    await world.clock.advance(3000);
    await refused;
    await world.stop();
  },
);

t.test('messages that are cut short, too long or unknown are refused', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  await world.clock.advance(2500);
  await a.directory.lookup(0, keysOf(0, 4), 4, new Uint32Array(4 * LOCATION_ROW_WORDS));
  for (const message of [...a.channel.sent]) {
    for (let length = 0; length < Math.min(message.length, 400); length += 3) {
      await t.rejects(a.channel.deliver(message.subarray(0, length)), { code: 'ERR_PROTOCOL' });
    }
  }
  const lookup = a.channel.sent.at(-1)!.slice();
  new DataView(lookup.buffer).setUint32(36, 0xffffffff, true);
  await t.rejects(a.channel.deliver(lookup), { code: 'ERR_PROTOCOL' }, 'four billion keys');
  new DataView(lookup.buffer).setUint32(0, 99, true);
  await t.rejects(a.channel.deliver(lookup), { code: 'ERR_PROTOCOL' }, 'an unknown type');
  t.same(world.failures, []);
  await world.stop();
});
