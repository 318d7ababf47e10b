import type { RefillError } from '@refill/interface';
import { LOAD_STATUS } from '@refill/store';
import t from 'tap';
import { BLOCK_STATE } from '../../../packages/store/src/arena/block-columns.ts';
import {
  decodeGrant,
  decodeMessage,
  encodeAsk,
  encodeDone,
  encodeGrant,
  GRANT_STATUS,
  PEER_PROTOCOL,
  type PeerGrant,
} from '../../../packages/store/src/peer/peer-messages.ts';
import {
  type LoadBlock,
  loadStatuses,
  namespaceIdOf,
  PEER_UNIT,
  PeerWorldOfNodes,
  peerKey,
} from '../../fixtures/peer-world.ts';

const { done, failed, gone } = LOAD_STATUS;

function keysOf(...numbers: number[]): Uint32Array {
  const keys = new Uint32Array(numbers.length * 8);
  for (const [i, n] of numbers.entries()) keys.set(peerKey(n), i * 8);
  return keys;
}

/** Asks as `b`, without reading anything. */
async function ask(world: PeerWorldOfNodes, body: Uint8Array, count: number): Promise<PeerGrant> {
  const answer = world.b.control.request(world.a.control.self, PEER_PROTOCOL, body, { deadlineMs: 100 });
  await world.clock.advance(5);
  return decodeGrant(await answer, count);
}

function askBody(...numbers: number[]): Uint8Array {
  return encodeAsk({ namespaceId: namespaceIdOf(0)!, keys: keysOf(...numbers), count: numbers.length });
}

t.test('pins last until the ticket ends, and evictions go around them', async (t) => {
  const world = new PeerWorldOfNodes({ ticketMs: 100 });
  const id = world.a.put(1, PEER_UNIT);
  const grant = await ask(world, askBody(1, 2), 2);
  t.strictSame([...grant.rows], [GRANT_STATUS.offered, PEER_UNIT, 1, GRANT_STATUS.absent, 0, 0]);
  t.equal(grant.address, 'a:1');
  t.equal(grant.lifeMs, 100);
  t.notOk(world.a.tier.isEvictable(id));
  for (let n = 100; n < 170; n++) world.a.put(n, PEER_UNIT);
  t.equal(world.a.tier.find(0, peerKey(1), 0), id, 'it is still there');
  await world.clock.advance(100);
  t.ok(world.a.tier.isEvictable(id));
  t.equal(world.a.service.pinnedBytes, 0);
});

t.test('an incomplete block is not offered', async (t) => {
  const world = new PeerWorldOfNodes();
  world.a.tier.take(0, peerKey(1), 0, 100, 1, BLOCK_STATE.reserved);
  world.a.tier.take(0, peerKey(2), 0, 100, 1, BLOCK_STATE.loading);
  const { lifeMs, rows } = await ask(world, askBody(1, 2), 2);
  t.equal(lifeMs, 0);
  t.strictSame([...rows], [0, 0, 0, 0, 0, 0]);
});

t.test('a block that is deleted while it is offered is still read whole', async (t) => {
  const world = new PeerWorldOfNodes({ peers: { bytesPerMs: 10 } });
  const id = world.a.put(1, 500);
  const block: LoadBlock = { n: 1, lengthBytes: 500 };
  const loading = world.load([block]);
  await world.clock.advance(4);
  world.a.tier.drop(id);
  for (let n = 100; n < 170; n++) world.a.put(n, PEER_UNIT);
  t.strictSame(loadStatuses(await loading), [done]);
  t.equal(world.b.io.bytesAt(0, 32 * PEER_UNIT, 500)[499], (499 * 7 + 1) & 255);
  await world.clock.advance(10);
  world.a.tier.check();
});

t.test('bounds: what is beyond them is busy, and is offered again later', async (t) => {
  const world = new PeerWorldOfNodes({
    bytesPerPeerMax: 2000,
    bytesMax: 3000,
    offersPerPeerMax: 2,
    ticketMs: 100,
  });
  for (let n = 1; n <= 4; n++) world.a.put(n, 900);
  const blocks = [1, 2, 3, 4].map((n): LoadBlock => ({ n, lengthBytes: 900 }));
  t.strictSame(loadStatuses(await world.load(blocks)), [done, done, failed, failed]);
  t.equal(world.a.service.counters.busy, 2);
  await world.clock.advance(10);
  await ask(world, askBody(1), 1);
  await ask(world, askBody(2), 1);
  const third = await ask(world, askBody(3), 1);
  t.strictSame([...third.rows], [GRANT_STATUS.busy, 900, 3], 'too many tickets');
  await world.clock.advance(100);
  t.strictSame(loadStatuses(await world.load(blocks.slice(2))), [done, done]);
});

t.test('only the holder of a ticket ends it, and may say so twice', async (t) => {
  const world = new PeerWorldOfNodes();
  world.a.put(1, 900);
  const { ticket } = await ask(world, askBody(1), 1);
  const say = async (from: 'a' | 'b', body: Uint8Array) => {
    const answer = world[from].control.request(world.a.control.self, PEER_PROTOCOL, body, {
      deadlineMs: 100,
    });
    const settled = answer.then(
      (bytes) => bytes.length,
      (error: RefillError) => error.code,
    );
    await world.clock.advance(10);
    return settled;
  };
  t.equal(await say('a', encodeDone(ticket)), 'ERR_UNAUTHORIZED');
  t.equal(world.a.service.pinnedBytes, 900);
  t.equal(await say('b', encodeDone(ticket)), 0);
  t.equal(world.a.service.pinnedBytes, 0);
  t.equal(await say('b', encodeDone(ticket)), 0);
});

t.test('an unknown namespace is nothing to be told about', async (t) => {
  const world = new PeerWorldOfNodes();
  world.a.put(1, 900);
  t.strictSame(loadStatuses(await world.load([{ n: 1, lengthBytes: 900, namespace: 3 }])), [gone]);
});

t.test('messages are exactly as long as they say', async (t) => {
  const good = askBody(1, 2);
  t.equal(decodeMessage(good).kind, 'ask');
  t.equal(decodeMessage(encodeDone(new Uint8Array(32))).kind, 'done');
  const bad: Uint8Array[] = [
    new Uint8Array(0),
    good.subarray(0, 7),
    good.subarray(0, good.length - 1),
    Uint8Array.from([...good, 0]),
    encodeDone(new Uint8Array(32)).subarray(1),
    Uint8Array.from([...encodeDone(new Uint8Array(32)), 1]),
  ];
  for (const [at, value] of [
    [0, 3],
    [4, 0],
    [5, 255],
    [7, 128],
  ] as const) {
    const body = good.slice();
    body[at] = value;
    bad.push(body);
  }
  for (const body of bad) t.throws(() => decodeMessage(body), { code: 'ERR_PROTOCOL' });
  const grant = {
    ticket: new Uint8Array(32).fill(3),
    address: '10.0.0.1:7',
    lifeMs: 9,
    rows: keysOf(1).slice(0, 6),
    count: 2,
  };
  const answer = encodeGrant(grant);
  t.strictSame(decodeGrant(answer, 2), grant);
  for (const body of [answer.subarray(1), answer.subarray(0, answer.length - 1), new Uint8Array(47)]) {
    t.throws(() => decodeGrant(body, 2), { code: 'ERR_PROTOCOL' });
  }
  t.throws(() => decodeGrant(answer, 1), { code: 'ERR_PROTOCOL' });
});
