import { type Cluster, LOOKUP_ROW, LOOKUP_ROW_WORDS, LOOKUP_TIER } from '@refill/interface';
import { type NodeComponents, PeerReader, peerSources } from '@refill/store';
import t from 'tap';
import type { MemoryIO } from '../../fixtures/memory-io.ts';
import type { MemorySharedTier } from '../../fixtures/memory-shared-tier.ts';
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
import { PeerWorldOfNodes } from '../../fixtures/peer-world.ts';
import { SimControl } from '../../fixtures/sim-control.ts';
import { bytesOf } from '../../fixtures/sim-peer.ts';

/** A whole node on the simulated network of control and peers; `others` are whom it may read from, by slot. */
async function nodeOn(
  net: PeerWorldOfNodes,
  name: string,
  others: Record<number, SimControl>,
): Promise<World & { control: SimControl; resident: string[] }> {
  const control = new SimControl(net, name);
  const resident: string[] = [];
  const cluster = {
    lease: {},
    members: [],
    noteResident: (namespace: number, keys: Uint32Array, at: number, isResident: boolean) => {
      resident.push(`${isResident ? '+' : '-'}${namespace}:${keys.subarray(at, at + 8).join()}`);
    },
  };
  const partsOf = (io: MemoryIO, shared: MemorySharedTier): Partial<NodeComponents> => {
    const transport = net.peers.transport(`${name}:1`, bytesOf(io));
    const { clock } = net;
    const namespaceIdOf = (index: number): Uint8Array | undefined => shared.namespace(index)?.id;
    const reader = new PeerReader({ control, transport, clock, namespaceIdOf });
    void transport.start();
    const member = (slot: number) =>
      others[slot] && ({ slot, node: others[slot].self.peer, control: others[slot].self } as never);
    return {
      peers: { control, transport },
      peer: peerSources({ reader, cluster: { member }, clock, self: name }),
    };
  };
  const world = await createWorld({ clock: net.clock, cluster: cluster as unknown as Cluster, partsOf });
  control.start();
  return { ...world, control, resident };
}

t.test('a block read from a peer is then served from this DRAM, and the cluster is told', async (t) => {
  const net = new PeerWorldOfNodes();
  const a = await nodeOn(net, 'node-a', {});
  const b = await nodeOn(net, 'node-b', { 1: a.control });
  const [atA, atB] = [await openSession(a), await openSession(b)];
  const bytes = payload(1, UNIT);
  await put(a, atA.session, atA.namespace, 1, bytes, 'shared');
  // What the directory of the cluster says at b: it is in a segment, and in the memory of a.
  for (const [name, stored] of a.shared.blocks) b.shared.blocks.set(name, stored);
  b.shared.holder = 1;

  const tierOf = async (): Promise<number> => {
    const rows = new Uint32Array(LOOKUP_ROW_WORDS);
    await atB.session.lookup(atB.namespace, keysOf(1), 1, rows);
    return rows[LOOKUP_ROW.tier]!;
  };
  t.equal(await tierOf(), LOOKUP_TIER.shared, 'the way to the peer is not open yet');
  await net.clock.advance(100);
  t.equal(await tierOf(), LOOKUP_TIER.peer);
  t.match(await atB.session.explain(atB.namespace, keysOf(1), 1), {
    plan: [{ name: 'dram' }, { name: 'peer:node-a', tier: 'peer', blocks: 1, bytes: UNIT }],
  });
  const reading = get(b, atB.session, atB.namespace, [1]);
  await net.clock.advance(100);
  t.same((await reading)[0]!.bytes, bytes);
  t.equal(b.shared.loads, 0, 'the shared file system was not asked');
  t.same(b.resident, [`+${atB.namespace}:${keysOf(1).join()}`]);

  a.control.stop();
  t.equal(await tierOf(), LOOKUP_TIER.dram);
  t.same((await get(b, atB.session, atB.namespace, [1]))[0]!.bytes, bytes, 'without the peer');
  t.equal(b.shared.loads, 0);
});
