import type { Cluster, NodeShare } from '@refill/interface';
import t from 'tap';
import { createWorld, keysOf, openSession, payload, put } from '../../fixtures/node-world.ts';

const member = (slot: number, node: string): NodeShare['member'] => ({
  slot,
  node,
  epoch: 1,
  control: { peer: node, addresses: [`/sim/${node}`] },
  dataAddress: `${node}:1`,
  state: 'live',
});

/** A cluster that answers what a test says, about node `a`, which is tested, and others. */
function clusterOf(shares: NodeShare[]): { cluster: Cluster; limits: number[] } {
  const limits: number[] = [];
  const cluster = {
    lease: {},
    members: [member(1, 'a'), member(2, 'b')],
    noteResident: () => undefined,
    locate: async (_namespace: number, _keys: Uint32Array, _count: number, limit: number) => {
      limits.push(limit);
      return shares.slice(0, limit);
    },
  };
  return { cluster: cluster as unknown as Cluster, limits };
}

t.test('a node that is alone lists itself, with what it holds in DRAM', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  for (const key of [1, 2, 4]) await put(world, session, namespace, key, payload(key, 10));
  t.same(await session.locate(namespace, keysOf(1, 2, 3, 4), 4, 5, 100), [
    { node: 'a', prefixBlocks: 2, blocks: 3, tiers: { dram: 3 }, addresses: [] },
  ]);
  t.match(await session.locate(namespace, keysOf(9), 1, 5, 100), [{ node: 'a', blocks: 0 }]);
});

t.test('in a cluster the best come first, and the node itself with what it holds by now', async (t) => {
  const { cluster, limits } = clusterOf([
    { member: member(2, 'b'), prefixBlocks: 3, blocks: 3 },
    { member: member(3, 'c'), prefixBlocks: 1, blocks: 4 },
    { member: member(1, 'a'), prefixBlocks: 0, blocks: 0 },
    { member: member(4, 'd'), prefixBlocks: 0, blocks: 1 },
  ]);
  const world = await createWorld({ cluster });
  const { session, namespace } = await openSession(world);
  for (const key of [1, 2]) await put(world, session, namespace, key, payload(key, 10));
  const nodes = await session.locate(namespace, keysOf(1, 2, 3, 4), 4, 3, 100);
  t.same(
    nodes.map(({ node, prefixBlocks, blocks, addresses }) => [node, prefixBlocks, blocks, addresses]),
    [
      ['b', 3, 3, ['/sim/b']],
      ['a', 2, 2, ['/sim/a']],
      ['c', 1, 4, ['/sim/c']],
    ],
  );
  t.same(limits, [4], 'one more than is wanted');
});

t.test('arguments out of bounds are refused', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  for (const limit of [0, 65, 1.5]) {
    t.throws(() => session.locate(namespace, keysOf(1), 1, limit, 100), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /limit must be a whole number from 1 to 64/,
    });
  }
  t.throws(() => session.locate(namespace + 1, keysOf(1), 1, 1, 100), { code: 'ERR_NAMESPACE_UNKNOWN' });
  t.throws(() => session.locate(namespace, keysOf(1), 2, 1, 100), { code: 'ERR_INVALID_ARGUMENT' });
});
