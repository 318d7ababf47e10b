import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RECEIVE_STATUS } from '@refill/interface';
import { crc64 } from '@refill/native-io';
import t from 'tap';
import {
  fillBlock,
  identityWords,
  isBlock,
  offerRows,
  type PeerBlock,
  receiveRows,
  statuses,
} from '../compliance/peer-transport.ts';
import { listening, type PeerPair, peerPair } from '../fixtures/peer-pair.ts';
import {
  ANSWER_HEAD_BYTES,
  answerHead,
  RawPeer,
  type RawRequest,
  requestBytes,
} from '../fixtures/peer-raw.ts';

const MIB = 1024 * 1024;
const { done, late, corrupt, failed } = RECEIVE_STATUS;
const block: PeerBlock = { tag: 5, from: 4096, lengthBytes: 1000, to: 8192 };

function offered(pair: PeerPair, lifeMs = 20_000, blocks: readonly PeerBlock[] = [block]) {
  for (const { from, lengthBytes, tag } of blocks) fillBlock(pair.sent(from, lengthBytes), tag);
  const state = { released: 0 };
  return Object.assign(
    state,
    pair.sender.offer(offerRows(blocks), blocks.length, lifeMs, () => state.released++),
  );
}

/** Checksum of a block as the receiver expects it. */
function sumOf(payload: Uint8Array, tag: number): Buffer {
  const identity = new Uint32Array(14);
  identityWords(tag, identity, 0);
  identity[12] = payload.length;
  const sum = Buffer.alloc(8);
  sum.writeBigUInt64LE(crc64(Buffer.concat([payload, new Uint8Array(identity.buffer)])));
  return sum;
}

t.test('what is no request is cut off and counted', async (t) => {
  const pair = await peerPair(t);
  const { ticket } = offered(pair);
  const bad: Record<string, RawRequest> = {
    magic: { magic: 0x20544547 },
    'reserved bits': { zero: 1, ticket, entries: [[0, 1000]] },
    'no block': { count: 0, ticket },
    'too many blocks': { count: 4097, ticket },
    'far too many blocks': { count: 0xffff_ffff, ticket },
  };
  for (const [name, fields] of Object.entries(bad)) {
    const before = pair.sender.counters.refused;
    const raw = new RawPeer(pair.sender.address);
    raw.socket.write(requestBytes(fields));
    t.ok(await raw.closed(1500), name);
    t.equal(raw.received.length, 0, name);
    t.equal(pair.sender.counters.refused, before + 1, name);
  }
  const raw = new RawPeer(pair.sender.address);
  raw.socket.write(requestBytes({ ticket, entries: [[0, 1000]] }));
  t.ok(await raw.answered(ANSWER_HEAD_BYTES + 1000 + 8), 'others are served');
  raw.socket.destroy();
});

t.test('another version is told so and cut off', async (t) => {
  const pair = await peerPair(t);
  const raw = new RawPeer(pair.sender.address);
  raw.socket.write(requestBytes({ version: 2, request: 9, count: 3 }));
  t.ok(await raw.closed(1500));
  t.strictSame(raw.received, answerHead({ request: 9, position: 0xffff_ffff, status: 2 }));
  t.equal(pair.sender.counters.refused, 1);
});

t.test('a forged ticket is refused on a connection that goes on', async (t) => {
  const pair = await peerPair(t);
  const { ticket } = offered(pair);
  const raw = new RawPeer(pair.sender.address);
  raw.socket.write(
    requestBytes({ request: 1, ticket: ticket.map((byte) => byte ^ 1), entries: [[0, 1000]] }),
  );
  t.ok(await raw.answered(ANSWER_HEAD_BYTES));
  t.strictSame(raw.received, answerHead({ position: 0xffff_ffff, status: 1 }));
  raw.received = Buffer.alloc(0);
  const requests = [2, 3, 4].map((request) =>
    requestBytes({
      request,
      ticket,
      entries: [
        [7, 1000],
        [0, 999],
        [0, 1000],
      ],
    }),
  );
  raw.socket.write(Buffer.concat(requests));
  const each = 3 * ANSWER_HEAD_BYTES + 1000 + 8;
  t.ok(await raw.answered(3 * each));
  for (const [i, request] of [2, 3, 4].entries()) {
    const at = i * each;
    const heads = [0, 1].map((position) => answerHead({ request, position, status: 1 }));
    const expected = [...heads, answerHead({ request, position: 2, length: 1000 })];
    t.strictSame(raw.received.subarray(at, at + 72), Buffer.concat(expected), 'pipelined requests, in order');
    const payload = raw.received.subarray(at + 72, at + 1072);
    t.ok(isBlock(payload, block.tag));
    t.strictSame(raw.received.subarray(at + 1072, at + 1080), sumOf(payload, block.tag));
  }
  raw.socket.destroy();
});

t.test('silence, half a request and a byte at a time are cut off in time', async (t) => {
  const pair = await peerPair(t);
  const { ticket } = offered(pair);
  const request = requestBytes({ ticket, entries: [[0, 1000]] });
  const silent = new RawPeer(pair.sender.address);
  const half = new RawPeer(pair.sender.address);
  half.socket.write(request.subarray(0, 50));
  const slow = new RawPeer(pair.sender.address);
  for (let i = 0; i < 40 && !slow.isClosed; i++) {
    slow.socket.write(request.subarray(i, i + 1));
    await delay(100);
  }
  t.ok(slow.isClosed, 'a slow loris');
  t.ok(await silent.closed(4000), 'silence');
  t.ok(await half.closed(4000), 'half a request');
  t.equal(pair.sender.counters.refused, 3);
});

t.test('a reader that takes nothing cannot hold memory past its ticket', async (t) => {
  const pair = await peerPair(t, { socketBufferBytes: 65_536 });
  const large: PeerBlock = { tag: 2, from: 0, lengthBytes: 12 * MIB, to: 0 };
  const offer = offered(pair, 300, [large]);
  const raw = new RawPeer(pair.sender.address);
  raw.socket.pause();
  const entries = Array.from({ length: 100 }, () => [0, large.lengthBytes] as const);
  raw.socket.write(requestBytes({ ticket: offer.ticket, entries }));
  await delay(150);
  t.equal(offer.released, 0);
  t.ok(await raw.until(() => offer.released === 1, 3000), 'released');
  raw.socket.resume();
  t.ok(await raw.closed(3000), 'and cut off');
  t.ok(raw.received.length < large.lengthBytes);
});

t.test('a reader that leaves in the middle takes nothing with it', async (t) => {
  const pair = await peerPair(t);
  const large: PeerBlock = { tag: 2, from: 0, lengthBytes: 8 * MIB, to: 0 };
  const offer = offered(pair, 20_000, [large]);
  for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
    const raw = new RawPeer(pair.sender.address);
    raw.socket.write(requestBytes({ ticket: offer.ticket, entries: Array(50).fill([0, large.lengthBytes]) }));
    await raw.answered(100_000);
    raw.socket[leave]();
    t.ok(await raw.closed(5000), leave);
  }
  const rows = receiveRows([large]);
  await pair.receiver.receive(pair.sender.address, offer.ticket, rows, 1, 10_000);
  t.strictSame(statuses(rows), [done]);
  offer.end();
  await delay(200);
  t.equal(offer.released, 1);
});

t.test('connections are bounded: idle strangers make room, members do not', async (t) => {
  const pair = await peerPair(t, { connectionsMax: 3 });
  const { ticket } = offered(pair);
  const known = new RawPeer(pair.sender.address);
  known.socket.write(requestBytes({ ticket, entries: [[0, 1000]] }));
  await known.answered(ANSWER_HEAD_BYTES + 1008);
  const strangers: RawPeer[] = [];
  for (let i = 0; i < 6; i++) {
    strangers.push(new RawPeer(pair.sender.address));
    await delay(20);
  }
  t.ok(await known.until(() => strangers.slice(0, 4).every((stranger) => stranger.isClosed), 1500));
  t.equal(pair.sender.counters.refused, 4);
  t.notOk(known.isClosed);
  const rows = receiveRows([block]);
  await pair.receiver.receive(pair.sender.address, ticket, rows, 1, 5_000);
  t.strictSame(statuses(rows), [done], 'a member still comes in');
  for (const raw of [known, ...strangers]) raw.socket.destroy();
});

t.test('a sender that answers wrongly is cut off, and writes nowhere else', async (t) => {
  const pair = await peerPair(t);
  const payload = new Uint8Array(1000);
  fillBlock(payload, block.tag);
  const good = Buffer.concat([answerHead({ length: 1000 }), payload, sumOf(payload, block.tag)]);
  const wrongSum = Buffer.from(good);
  wrongSum[good.length - 1]! ^= 1;
  const wrongByte = Buffer.from(good);
  wrongByte[500]! ^= 1;
  const answers: [string, Uint8Array, number][] = [
    ['the right answer', good, done],
    ['a changed byte', wrongByte, corrupt],
    ['a changed checksum', wrongSum, corrupt],
    ['another block', Buffer.concat([answerHead({ length: 1000 }), payload, sumOf(payload, 6)]), corrupt],
    ['a longer block', Buffer.concat([answerHead({ length: 1001 }), payload, payload]), failed],
    ['a huge block', Buffer.concat([answerHead({ length: 0xffff_ffff }), payload, payload]), failed],
    ['a shorter block', Buffer.concat([answerHead({ length: 999 }), payload]), failed],
    ['another place', answerHead({ position: 1, length: 1000 }), failed],
    ['another request', answerHead({ request: 2, length: 1000 }), failed],
    ['another magic', answerHead({ magic: 1, length: 1000 }), failed],
    ['an unknown status', answerHead({ status: 7 }), failed],
    ['a refusal with bytes', answerHead({ status: 1, length: 1000 }), failed],
    ['a refusal of everything that sends', answerHead({ position: 0xffff_ffff, status: 0 }), failed],
    ['reserved bits', answerHead({ length: 1000, zero: 1 }), failed],
    ['half a block', good.subarray(0, 600), failed],
  ];
  const around = pair.received(0, block.to - 4096, 4096 + 1000 + 4096);
  for (const [name, answer, status] of answers) {
    around.fill(0xee);
    const address = await listening(t, (socket) => socket.once('data', () => socket.end(answer)));
    const rows = receiveRows([block]);
    await pair.receiver.receive(address, new Uint8Array(32), rows, 1, 5_000);
    t.strictSame(statuses(rows), [status], name);
    const outside = [around.subarray(0, 4096), around.subarray(5096)];
    t.ok(
      outside.every((part) => part.every((byte) => byte === 0xee)),
      `${name}: nothing around it`,
    );
  }
});

t.test('bytes that come after the deadline are not written any more', async (t) => {
  const pair = await peerPair(t);
  let more = (): void => {};
  const address = await listening(t, (socket) => {
    socket.once('data', () => {
      socket.write(Buffer.concat([answerHead({ length: 1000 }), Buffer.alloc(300, 1)]));
      more = () => socket.write(Buffer.alloc(700, 2));
    });
  });
  pair.received(0, block.to, 1000).fill(9);
  const rows = receiveRows([block]);
  await pair.receiver.receive(address, new Uint8Array(32), rows, 1, 100);
  t.strictSame(statuses(rows), [late]);
  const before = Buffer.from(pair.received(0, block.to, 1000));
  t.equal(before.filter((byte) => byte === 1).length, 300, 'what had come is there');
  more();
  await delay(100);
  t.strictSame(Buffer.from(pair.received(0, block.to, 1000)), before);
});

t.test('a kept connection that died meanwhile costs nothing', async (t) => {
  const pair = await peerPair(t);
  const payload = new Uint8Array(1000);
  fillBlock(payload, block.tag);
  const good = Buffer.concat([answerHead({ length: 1000 }), payload, sumOf(payload, block.tag)]);
  let connections = 0;
  const address = await listening(t, (socket) => {
    connections++;
    // Answers once, then hangs up on the next request.
    socket.once('data', () => {
      socket.write(good);
      socket.once('data', () => socket.resetAndDestroy());
    });
  });
  for (let i = 0; i < 3; i++) {
    const rows = receiveRows([block]);
    await pair.receiver.receive(address, new Uint8Array(32), rows, 1, 5_000);
    t.strictSame(statuses(rows), [done]);
  }
  t.equal(connections, 3);
});

t.test('a dead or silent peer does not hold up the others', async (t) => {
  const pair = await peerPair(t);
  const { ticket } = offered(pair);
  const stuck = Array.from({ length: 20 }, () => {
    const rows = receiveRows([block]);
    return pair.receiver.receive(pair.silentAddress, ticket, rows, 1, 2_000).then(() => statuses(rows));
  });
  await delay(20);
  let stuckSettled = 0;
  for (const one of stuck) void one.then(() => stuckSettled++);
  for (let i = 0; i < 20; i++) {
    const rows = receiveRows([{ ...block, to: 65_536 }]);
    await pair.receiver.receive(pair.sender.address, ticket, rows, 1, 5_000);
    t.strictSame(statuses(rows), [done]);
  }
  t.equal(stuckSettled, 0);
  t.strictSame((await Promise.all(stuck)).flat(), Array(20).fill(late));
});

t.test('a region that its client has shrunk fails the call, not the node', async (t) => {
  const pair = await peerPair(t);
  const { ticket } = offered(pair);
  const path = join(t.testdir({ region: '' }), 'region');
  truncateSync(path, MIB);
  const region = await pair.receiverIo.attachRegion({ path }, MIB);
  truncateSync(path, 0);
  const rows = receiveRows([{ ...block, buffer: region }]);
  await pair.receiver.receive(pair.sender.address, ticket, rows, 1, 5_000);
  t.strictSame(statuses(rows), [failed]);
  const again = receiveRows([block]);
  await pair.receiver.receive(pair.sender.address, ticket, again, 1, 5_000);
  t.strictSame(statuses(again), [done]);
  pair.receiverIo.detachRegion(region);
});
