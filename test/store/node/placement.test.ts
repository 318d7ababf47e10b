import { LOOKUP_ROW, LOOKUP_ROW_WORDS, LOOKUP_TIER, PUT_STATUS, type PutHints } from '@refill/interface';
import t from 'tap';
import { type HoldNode, HoldWorld } from '../../fixtures/hold-world.ts';
import { get, keysOf, payload, put, UNIT } from '../../fixtures/node-world.ts';

async function tierOn(node: HoldNode, key: number): Promise<number> {
  const rows = new Uint32Array(LOOKUP_ROW_WORDS);
  await node.session.lookup(node.namespace, keysOf(key), 1, rows);
  return rows[LOOKUP_ROW.tier]!;
}

async function putOn(world: HoldWorld, node: HoldNode, key: number, hints: PutHints): Promise<number> {
  const { session, namespace } = node;
  const bytes = payload(key, UNIT);
  const outcome = await world.until(put(node, session, namespace, key, bytes, 'shared', 1000, hints));
  await world.clock.advance(100);
  return outcome;
}

const holdersOf = async (world: HoldWorld, key: number): Promise<string[]> => {
  const names: string[] = [];
  for (const node of world.nodes) if ((await tierOn(node, key)) === LOOKUP_TIER.dram) names.push(node.name);
  return names;
};

t.test('a preferred node has the block in DRAM once it is stored', async (t) => {
  const world = new HoldWorld();
  const [a, b] = [await world.node('a'), await world.node('b'), await world.node('c')];
  t.equal(await putOn(world, a, 1, { node: 'b' }), PUT_STATUS.stored);
  t.same(await holdersOf(world, 1), ['a', 'b']);
  const [row] = await get(b, b.session, b.namespace, [1]);
  t.same(row!.bytes, payload(1, UNIT));
  t.match(a.node.status().hints, { offered: 1, placed: 1, unplaced: 0 });
  t.match(b.node.status().hints, { holdsAsked: 1, held: 1, holdsRefused: 0 });
});

t.test('replicas: as many nodes as were asked for, this one included, others by turns', async (t) => {
  const world = new HoldWorld();
  const a = await world.node('a');
  for (const name of ['b', 'c', 'd']) await world.node(name);
  const used = new Set<string>();
  for (let key = 1; key <= 6; key++) {
    await putOn(world, a, key, { replicas: 2 });
    const holders = await holdersOf(world, key);
    t.equal(holders.length, 2);
    for (const name of holders) used.add(name);
  }
  t.same([...used].sort(), ['a', 'b', 'c', 'd']);
  await putOn(world, a, 7, { replicas: 3, node: 'd' });
  const three = await holdersOf(world, 7);
  t.equal(three.length, 3);
  t.ok(three.includes('d'));
  await putOn(world, a, 8, { replicas: 9 });
  t.same(await holdersOf(world, 8), ['a', 'b', 'c', 'd']);
  t.equal(a.node.status().hints.unplaced, 5);
});

t.test('members with more free memory come first', async (t) => {
  const world = new HoldWorld();
  const a = await world.node('a');
  const b = await world.node('b', { paneUnits: [16] });
  await world.node('c');
  for (let key = 100; key < 108; key++) await put(b, b.session, b.namespace, key, payload(key, UNIT));
  for (let key = 1; key <= 2; key++) await putOn(world, a, key, { replicas: 2 });
  for (let key = 3; key <= 8; key++) {
    await putOn(world, a, key, { replicas: 2 });
    t.same(await holdersOf(world, key), ['a', 'c']);
  }
});

t.test('a member that is gone, draining or unknown costs a copy and not the put', async (t) => {
  const world = new HoldWorld();
  const [a, b, c] = [await world.node('a'), await world.node('b'), await world.node('c')];
  t.equal(await putOn(world, a, 1, { node: 'z' }), PUT_STATUS.stored);
  t.equal(a.node.status().hints.unplaced, 1);
  world.setState('b', 'draining');
  await putOn(world, a, 2, { node: 'b' });
  t.same(await holdersOf(world, 2), ['a']);
  c.control.stop();
  t.equal(await putOn(world, a, 3, { replicas: 2 }), PUT_STATUS.stored);
  t.same(await holdersOf(world, 3), ['a']);
  t.match(a.node.status().hints, { offered: 1, placed: 0, unplaced: 2 });
  t.equal(b.node.status().hints.holdsAsked, 0);
});

t.test('a node whose memory is held by its clients refuses', async (t) => {
  const world = new HoldWorld();
  const a = await world.node('a');
  const b = await world.node('b', { paneUnits: [8] });
  for (let key = 100; key < 105; key++) {
    await world.until(put(b, b.session, b.namespace, key, payload(key, UNIT), 'shared', 1000, { pin: true }));
  }
  await putOn(world, a, 1, { node: 'b' });
  t.same(await holdersOf(world, 1), ['a']);
  t.match(a.node.status().hints, { offered: 1, placed: 0 });
  t.match(b.node.status().hints, { holdsAsked: 1, held: 0, holdsRefused: 1 });
});

t.test('a copy ends with the life of its block', async (t) => {
  const world = new HoldWorld();
  const [a] = [await world.node('a'), await world.node('b')];
  await putOn(world, a, 1, { node: 'b', ttlMs: 2000 });
  t.same(await holdersOf(world, 1), ['a', 'b']);
  await world.clock.advance(2500);
  t.same(await holdersOf(world, 1), []);
  t.equal(a.shared.blocks.size, 0, 'deleted by the node that put it');
});

t.test('a block of memory only, and one whose store failed, are nowhere else', async (t) => {
  const world = new HoldWorld();
  const [a] = [await world.node('a'), await world.node('b')];
  await put(a, a.session, a.namespace, 1, payload(1, UNIT), 'memory', 1000, { node: 'b', tier: 'dram' });
  a.shared.outcomeOfStore = () => PUT_STATUS.failed;
  t.equal(await putOn(world, a, 2, { node: 'b' }), PUT_STATUS.failed);
  await world.clock.advance(1000);
  t.same(await holdersOf(world, 1), ['a']);
  t.equal(a.node.status().hints.offered, 0);
});
