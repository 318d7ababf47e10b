import {
  locateRouter,
  type ReplayOptions,
  type RoutableNode,
  randomRouter,
  replay,
  replayTable,
  SeededRandom,
  systemClock,
} from '@refill/cli';
import { type BlockNamespace, keyOf, type NodeResidency, RefillError } from '@refill/interface';
import t from 'tap';
import { MemoryBlockStore } from '../../fixtures/memory-block-store.ts';

const keys = [1, 2, 3, 4].map((id) => keyOf(`k/${id}`));
const call = { deadlineMs: 1000 };

function nodeOf(
  name: string,
  change: Partial<RoutableNode> = {},
  locate: () => unknown = () => [],
): RoutableNode {
  const namespace = { locate: async () => locate() } as unknown as BlockNamespace;
  return { name, namespace, activeBlocks: 0, requests: 0, ...change };
}

const share = (node: string, prefixBlocks: number): NodeResidency => ({
  ...{ node, prefixBlocks, blocks: prefixBlocks, tiers: { dram: prefixBlocks }, addresses: [] },
});

t.test('random routing reaches every node, the same way for the same seed', (t) => {
  const nodes = ['a', 'b', 'c'].map((name) => nodeOf(name));
  const route = (seed: number): number[] => {
    const router = randomRouter(new SeededRandom(seed));
    return Array.from({ length: 50 }, () => router.choose(nodes, keys) as number);
  };
  t.same([...new Set(route(1))].sort(), [0, 1, 2]);
  t.same(route(1), route(1));
  t.notSame(route(1), route(2));
  t.end();
});

t.test('locate routing follows the longest prefix', async (t) => {
  const located = () => [share('c', 3), share('b', 1)];
  const nodes = ['a', 'b', 'c'].map((name) => nodeOf(name, {}, located));
  t.equal(await locateRouter(call).choose(nodes, keys), 2);
});

t.test('a holder that has too much to do is passed over', async (t) => {
  const located = () => [share('b', 3)];
  const busy = (activeBlocks: number) => [nodeOf('a', {}, located), nodeOf('b', { activeBlocks }, located)];
  t.equal(await locateRouter(call).choose(busy(2), keys), 1, 'waiting for 2 is less than bringing 3 in');
  t.equal(await locateRouter(call).choose(busy(4), keys), 0);
});

t.test('of equal nodes the one with the fewest requests is taken', async (t) => {
  const nodes = [nodeOf('a', { requests: 5 }), nodeOf('b', { requests: 2 }), nodeOf('c', { requests: 3 })];
  t.equal(await locateRouter(call).choose(nodes, keys), 1);
});

t.test('while the service is away load alone decides, and other errors are not hidden', async (t) => {
  const failing = (code: 'ERR_METADATA_UNAVAILABLE' | 'ERR_NODE_CLOSED') => () => {
    throw new RefillError(code, 'no');
  };
  const away = ['a', 'b'].map((name, i) =>
    nodeOf(name, { activeBlocks: 2 - i }, failing('ERR_METADATA_UNAVAILABLE')),
  );
  t.equal(await locateRouter(call).choose(away, keys), 1);
  const closed = [nodeOf('a', {}, failing('ERR_NODE_CLOSED'))];
  await t.rejects(async () => locateRouter(call).choose(closed, keys), { code: 'ERR_NODE_CLOSED' });
});

t.test('a replay over several nodes gives every request to one and adds up what they did', async (t) => {
  const options: ReplayOptions = { blockBytes: 5000, concurrency: 1, durability: 'shared', deadlineMs: 1000 };
  const doubles = ['a', 'b', 'c'].map((name) => new MemoryBlockStore({ name }));
  // One shared file system behind all of them.
  for (const double of doubles.slice(1)) Object.assign(double, { blocks: doubles[0]!.blocks });
  const prompts = Array.from({ length: 30 }, (_, i) => [0, 1, Math.floor(i / 2) + 2]);
  const requests = prompts.map((hashIds) => ({ atMs: 0, inputTokens: 1, outputTokens: 1, hashIds }));
  const trace = { name: 'x', scope: 's', tokensPerBlock: 64, ordered: true, requestCount: 30, requests };
  const parts = { stores: doubles.map((double) => double.asStore()), clock: systemClock };
  const router = randomRouter(new SeededRandom(7));
  const result = await replay({ ...parts, router }, [trace], options);
  t.equal(result.hitRate, result.idealHitRate);
  t.equal(result.tiers.dram.blocks, result.blocksHit, 'summed over the nodes');
  t.equal(result.tiers.dram.bytes, result.bytesRead);
  t.same(
    result.cluster?.nodes.map(({ name }) => name),
    ['a', 'b', 'c'],
  );
  t.ok(result.cluster?.nodes.every(({ requests }) => requests > 0));
  t.equal(
    result.cluster?.nodes.reduce((sum, { requests }) => sum + requests, 0),
    30,
  );
  t.ok(doubles.every((double) => double.flushes === 1));
  t.match(replayTable(result, 'x'), /routing +random: a \d+, b \d+, c \d+ requests/);
  await t.rejects(replay(parts, [trace], options), { name: 'TypeError', message: /needs a router/ });
});
