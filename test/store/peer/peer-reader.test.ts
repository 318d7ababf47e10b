import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS, peerSources } from '@refill/store';
import t from 'tap';
import {
  type LoadBlock,
  loadRows,
  loadStatuses,
  PEER_UNIT,
  PeerWorldOfNodes,
  peerBytes,
} from '../../fixtures/peer-world.ts';

const { done, late, corrupt, gone, failed } = LOAD_STATUS;
const three: LoadBlock[] = [1, 2, 3].map((n) => ({ n, lengthBytes: 1000 * n }));

function arrived(world: PeerWorldOfNodes, i: number, { n, lengthBytes }: LoadBlock): boolean {
  const bytes = world.b.io.bytesAt(0, (32 + i) * PEER_UNIT, lengthBytes);
  return Buffer.compare(bytes, peerBytes(n, lengthBytes)) === 0;
}

t.test('blocks come out of the other member’s DRAM, and are unpinned when they have come', async (t) => {
  const world = new PeerWorldOfNodes();
  for (const { n, lengthBytes } of three) world.a.put(n, lengthBytes);
  t.strictSame(loadStatuses(await world.load(three)), [done, done, done]);
  for (const [i, block] of three.entries()) t.ok(arrived(world, i, block));
  await world.clock.advance(10);
  t.equal(world.a.tier.pinnedBytes, 0, 'long before the ticket would have ended');
  t.match(world.a.service.counters, { asks: 1, offeredBlocks: 3, offeredBytes: 6000 });
  world.a.tier.check();
});

t.test(
  'what is not there, of another length or in an unknown namespace is gone, the rest is read',
  async (t) => {
    const world = new PeerWorldOfNodes();
    for (const { n, lengthBytes } of three) world.a.put(n, lengthBytes);
    world.a.put(9, 500, 2);
    const asked = [
      { n: 7, lengthBytes: 10 },
      three[0]!,
      { n: 2, lengthBytes: 1999 },
      three[2]!,
      { n: 9, lengthBytes: 500 },
      { n: 9, lengthBytes: 500, namespace: 2 },
      { n: 1, lengthBytes: 1000, namespace: 9 },
    ];
    const rows = await world.load(asked);
    t.strictSame(loadStatuses(rows), [gone, done, gone, done, gone, done, gone]);
    for (const i of [1, 3, 5]) t.ok(arrived(world, i, asked[i]!), `${i}`);
  },
);

t.test(
  'a dead member fails at once, a silent one costs the deadline, a changed block is corrupt',
  async (t) => {
    const dead = new PeerWorldOfNodes();
    dead.a.control.kill();
    t.strictSame(loadStatuses(await dead.load(three)), [failed, failed, failed]);
    const silent = new PeerWorldOfNodes();
    silent.network.partition(['a'], ['b']);
    t.strictSame(loadStatuses(await silent.load(three, 50)), [late, late, late]);
    t.equal(Math.round(silent.clock.nowMs()), 50);
    const mute = new PeerWorldOfNodes({ peers: { link: () => 'silent' } });
    for (const { n, lengthBytes } of three) mute.a.put(n, lengthBytes);
    t.strictSame(
      loadStatuses(await mute.load(three, 50)),
      [late, late, late],
      'only its data path is silent',
    );
    const noisy = new PeerWorldOfNodes({ peers: { corruptRate: 1 } });
    for (const { n, lengthBytes } of three) noisy.a.put(n, lengthBytes);
    t.strictSame(loadStatuses(await noisy.load(three)), [corrupt, corrupt, corrupt]);
  },
);

t.test('a dead receiver holds memory for the life of its ticket and no longer', async (t) => {
  const world = new PeerWorldOfNodes({ ticketMs: 100, peers: { bytesPerMs: 10 } });
  for (const { n, lengthBytes } of three) world.a.put(n, lengthBytes);
  const rows = loadRows(three);
  void world.b.reader.load({ control: world.a.control.self }, rows, 3, 10_000);
  await world.clock.advance(5);
  t.equal(world.a.tier.pinnedBytes, 3 * PEER_UNIT);
  world.b.control.kill();
  world.peers.kill('b:1');
  await world.clock.advance(400);
  t.equal(world.a.tier.pinnedBytes, 0);
  t.equal(world.a.service.pinnedBytes, 0);
  world.a.tier.check();
});

t.test('a source of a member holds what the lookup says it holds', async (t) => {
  const world = new PeerWorldOfNodes();
  for (const { n, lengthBytes } of three) world.a.put(n, lengthBytes);
  const member = (slot: number, node: string) => ({
    slot,
    node,
    epoch: 1,
    control: world.a.control.self,
    dataAddress: 'a:1',
    state: 'live' as const,
  });
  const members = new Map([
    [7, member(7, 'a')],
    [8, member(8, 'b')],
  ]);
  const sources = peerSources({
    reader: world.b.reader,
    cluster: { member: (slot) => members.get(slot) },
    clock: world.clock,
    self: 'b',
  });
  t.equal(sources(8), undefined, 'not from itself');
  t.equal(sources(9), undefined);
  t.equal(sources(7), undefined, 'not before the way to it is open');
  await world.clock.advance(100);
  const source = sources(7)!;
  t.equal(source, sources(7));
  t.match(source, { name: 'peer:a', tier: 'peer' });
  const rows = loadRows(three);
  for (const [i, word] of [7, 7 << 16, 9 | (8 << 16)].entries()) {
    rows[i * LOAD_ROW_WORDS + (i === 1 ? LOAD_ROW.holdersHi : LOAD_ROW.holdersLo)] = word;
  }
  t.strictSame(
    [0, 1, 2].map((i) => source.mayHold(rows, i * LOAD_ROW_WORDS)),
    [true, true, false],
  );
  const loading = source.load(rows, 3, 100);
  await world.clock.advance(100);
  await loading;
  t.strictSame(loadStatuses(rows), [done, done, done]);
  members.delete(7);
  t.equal(sources(7), undefined);
});
