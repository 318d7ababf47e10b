import {
  type BufferId,
  OFFER_ROW,
  OFFER_ROW_WORDS,
  PEER_BLOCKS_MAX,
  PEER_OFFERS_MAX,
  PEER_TICKET_BYTES,
  type PeerTransport,
  RECEIVE_ROW,
  RECEIVE_ROW_WORDS,
  RECEIVE_STATUS,
} from '@refill/interface';
import type { Test } from 'tap';

const MIB = 1024 * 1024;
/** Arenas of the factory are at least this long, its region is a quarter. */
export const PEER_ARENA_BYTES: number = 16 * MIB;
const { done, late, corrupt, refused, failed } = RECEIVE_STATUS;

/** Two nodes that can reach each other. */
export interface PeerWorld {
  readonly sender: PeerTransport;
  readonly receiver: PeerTransport;
  /** A region of the receiver. */
  readonly region: BufferId;
  /** Takes connections and never says a word. */
  readonly silentAddress: string;
  /** Refuses connections. */
  readonly deadAddress: string;
  sent(offset: number, lengthBytes: number): Uint8Array;
  received(buffer: BufferId, offset: number, lengthBytes: number): Uint8Array;
  /** Settles as the promise does, letting time pass. */
  settled<T>(promise: Promise<T>): Promise<T>;
  pass(ms: number): Promise<void>;
}

/** A block on both sides: `tag` makes its identity and content. */
export interface PeerBlock {
  tag: number;
  from: number;
  lengthBytes: number;
  buffer?: BufferId;
  to: number;
  index?: number;
}

export function identityWords(tag: number, words: Uint32Array, at: number): void {
  for (let word = 0; word < 12; word++) words[at + word] = Math.imul(tag + 1, 0x9e3779b1 + word) >>> 0;
}

export function fillBlock(view: Uint8Array, tag: number): void {
  for (let i = 0; i < view.length; i++) view[i] = (Math.imul(i, 31) + (i >>> 9) + tag * 7) & 255;
}

export function isBlock(view: Uint8Array, tag: number): boolean {
  for (let i = 0; i < view.length; i++) {
    if (view[i] !== ((Math.imul(i, 31) + (i >>> 9) + tag * 7) & 255)) return false;
  }
  return true;
}

export function offerRows(blocks: readonly PeerBlock[]): Uint32Array {
  const rows = new Uint32Array(blocks.length * OFFER_ROW_WORDS);
  for (const [i, block] of blocks.entries()) {
    const at = i * OFFER_ROW_WORDS;
    identityWords(block.tag, rows, at);
    rows[at + OFFER_ROW.bufferOffsetLo] = block.from >>> 0;
    rows[at + OFFER_ROW.bufferOffsetHi] = Math.floor(block.from / 2 ** 32);
    rows[at + OFFER_ROW.lengthBytes] = block.lengthBytes;
  }
  return rows;
}

export function receiveRows(blocks: readonly PeerBlock[]): Uint32Array {
  const rows = new Uint32Array(blocks.length * RECEIVE_ROW_WORDS);
  for (const [i, block] of blocks.entries()) {
    const at = i * RECEIVE_ROW_WORDS;
    identityWords(block.tag, rows, at);
    rows[at + RECEIVE_ROW.index] = block.index ?? i;
    rows[at + RECEIVE_ROW.lengthBytes] = block.lengthBytes;
    rows[at + RECEIVE_ROW.buffer] = block.buffer ?? 0;
    rows[at + RECEIVE_ROW.bufferOffsetLo] = block.to >>> 0;
    rows[at + RECEIVE_ROW.bufferOffsetHi] = Math.floor(block.to / 2 ** 32);
  }
  return rows;
}

export function statuses(rows: Uint32Array): number[] {
  const count = rows.length / RECEIVE_ROW_WORDS;
  return Array.from({ length: count }, (_, i) => rows[i * RECEIVE_ROW_WORDS + RECEIVE_ROW.status]!);
}

/** What every `PeerTransport` does, whatever carries the bytes. The factory's world is started; the suite stops it. */
export function peerTransportCompliance(t: Test, create: (t: Test) => Promise<PeerWorld>): void {
  const withWorld = (name: string, body: (t: Test, world: PeerWorld) => Promise<void>): void => {
    t.test(name, async (t) => {
      const world = await create(t);
      try {
        await body(t, world);
      } finally {
        await Promise.all([world.sender.stop(), world.receiver.stop()]);
      }
    });
  };

  /** Fills the blocks, offers them for a while and counts releases. */
  const offered = (world: PeerWorld, blocks: readonly PeerBlock[], lifeMs = 10_000) => {
    for (const block of blocks) fillBlock(world.sent(block.from, block.lengthBytes), block.tag);
    const state = { released: 0 };
    const offer = world.sender.offer(offerRows(blocks), blocks.length, lifeMs, () => state.released++);
    return Object.assign(state, offer);
  };

  const received = async (
    world: PeerWorld,
    ticket: Uint8Array,
    blocks: readonly PeerBlock[],
    deadlineMs = 10_000,
    address = world.sender.address,
  ): Promise<number[]> => {
    const rows = receiveRows(blocks);
    await world.settled(world.receiver.receive(address, ticket, rows, blocks.length, deadlineMs));
    return statuses(rows);
  };

  withWorld('blocks of every length arrive whole, in the arena and in a region', async (t, world) => {
    let at = 0;
    const lengths = [1, 7, 4095, 4096, 65_536, 100_001, 1 * MIB, 2 * MIB + 13];
    const blocks = lengths.map((lengthBytes, tag): PeerBlock => {
      const block = { tag, from: at, lengthBytes, buffer: tag % 2 ? world.region : 0, to: at + 3 };
      at += lengthBytes + 61;
      return block;
    });
    const { ticket } = offered(world, blocks);
    t.equal(ticket.length, PEER_TICKET_BYTES);
    t.strictSame(
      await received(world, ticket, blocks),
      lengths.map(() => done),
    );
    for (const { tag, buffer, to, lengthBytes } of blocks) {
      t.ok(isBlock(world.received(buffer!, to, lengthBytes), tag), `${lengthBytes} bytes`);
    }
    const bytes = lengths.reduce((sum, length) => sum + length, 0);
    t.match(world.receiver.counters, { blocksReceived: lengths.length, bytesReceived: bytes, corrupt: 0 });
    t.match(world.sender.counters, { blocksSent: lengths.length, bytesSent: bytes, offers: 1, refused: 0 });
  });

  withWorld('any of the blocks may be asked for, in any order and again', async (t, world) => {
    const blocks = Array.from(
      { length: 64 },
      (_, tag): PeerBlock => ({ tag, from: tag * 65_536, lengthBytes: 65_536 - tag, to: 0 }),
    );
    const { ticket } = offered(world, blocks);
    const picks = [63, 0, 17, 17, 5].map((index, i) => ({
      ...blocks[index]!,
      index,
      to: 8 * MIB + i * 65_536,
    }));
    for (let turn = 0; turn < 3; turn++) {
      for (const { to, lengthBytes } of picks) world.received(0, to, lengthBytes).fill(0);
      t.strictSame(await received(world, ticket, picks), [done, done, done, done, done]);
      for (const { to, lengthBytes, tag } of picks) t.ok(isBlock(world.received(0, to, lengthBytes), tag));
    }
  });

  withWorld('many calls at once, on several tickets and both ways', async (t, world) => {
    const pick = (tag: number): PeerBlock => ({
      tag,
      from: (tag % 8) * MIB,
      lengthBytes: MIB / 2 + tag,
      to: 8 * MIB + (tag % 8) * MIB,
    });
    const all = Array.from({ length: 8 }, (_, tag) => pick(tag));
    const back = { ...pick(3), from: 0, to: 0, lengthBytes: 70_000, tag: 99 };
    const calls: Promise<number[]>[] = [];
    const tickets = [offered(world, all), offered(world, all)];
    for (const [i, block] of all.entries()) {
      calls.push(received(world, tickets[i % 2]!.ticket, [{ ...block, index: i }]));
    }
    fillBlock(world.received(0, 0, back.lengthBytes), back.tag);
    const { ticket } = world.receiver.offer(offerRows([back]), 1, 10_000, () => {});
    const rows = receiveRows([{ ...back, to: 15 * MIB }]);
    calls.push(
      world
        .settled(world.sender.receive(world.receiver.address, ticket, rows, 1, 10_000))
        .then(() => statuses(rows)),
    );
    t.strictSame((await Promise.all(calls)).flat(), Array(9).fill(done));
    for (const { to, lengthBytes, tag } of all) t.ok(isBlock(world.received(0, to, lengthBytes), tag));
    t.ok(isBlock(world.sent(15 * MIB, back.lengthBytes), back.tag));
  });

  withWorld('a block that is another than expected is corrupt, and the others are not', async (t, world) => {
    const blocks = [0, 1, 2, 3].map(
      (tag): PeerBlock => ({ tag, from: tag * MIB, lengthBytes: MIB, to: tag * MIB }),
    );
    const { ticket } = offered(world, blocks);
    const wrong = blocks.map((block, i) => (i === 1 ? { ...block, tag: 50 } : block));
    t.strictSame(await received(world, ticket, wrong), [done, corrupt, done, done]);
    t.equal(world.receiver.counters.corrupt, 1);
    const rows = receiveRows(blocks);
    rows[2 * RECEIVE_ROW_WORDS + RECEIVE_ROW.namespaceId + 3]! ^= 1;
    rows[3 * RECEIVE_ROW_WORDS + RECEIVE_ROW.key + 7]! ^= 0x8000_0000;
    await world.settled(world.receiver.receive(world.sender.address, ticket, rows, 4, 10_000));
    t.strictSame(statuses(rows), [done, done, corrupt, corrupt], 'every word of the identity counts');
  });

  withWorld('another length and a place outside the ticket are refused, and counted', async (t, world) => {
    const blocks = [0, 1, 2, 3].map(
      (tag): PeerBlock => ({ tag, from: tag * MIB, lengthBytes: MIB, to: tag * MIB }),
    );
    const { ticket } = offered(world, blocks);
    const wrong = [
      blocks[0]!,
      { ...blocks[1]!, lengthBytes: MIB - 1 },
      { ...blocks[2]!, index: 4 },
      { ...blocks[3]!, index: 0xffff_ffff },
    ];
    t.strictSame(await received(world, ticket, wrong), [done, refused, refused, refused]);
    t.equal(world.sender.counters.refused, 3);
  });

  withWorld('a forged ticket is refused, and so is another sender’s', async (t, world) => {
    const block: PeerBlock = { tag: 1, from: 0, lengthBytes: 100, to: 0 };
    const { ticket } = offered(world, [block]);
    for (const at of [0, 31]) {
      const forged = ticket.slice();
      forged[at]! ^= 1;
      t.strictSame(await received(world, forged, [block]), [refused]);
    }
    const own = world.receiver.offer(offerRows([block]), 1, 10_000, () => {});
    t.strictSame(await received(world, own.ticket, [block]), [refused]);
    t.equal(world.sender.counters.refused, 3);
  });

  withWorld(
    'a ticket that was ended or has expired is refused, and its memory released once',
    async (t, world) => {
      const block: PeerBlock = { tag: 1, from: 0, lengthBytes: 100, to: 0 };
      const ended = offered(world, [block]);
      t.strictSame(await received(world, ended.ticket, [block]), [done]);
      t.equal(ended.released, 0);
      ended.end();
      t.equal(ended.released, 0, 'not within the call');
      await world.pass(50);
      t.equal(ended.released, 1);
      ended.end();
      t.strictSame(await received(world, ended.ticket, [block]), [refused]);

      const short = offered(world, [block], 30);
      await world.pass(200);
      t.equal(short.released, 1, 'without anybody having asked');
      t.strictSame(await received(world, short.ticket, [block]), [refused]);
      short.end();
      await world.pass(50);
      t.strictSame([ended.released, short.released], [1, 1]);
    },
  );

  withWorld('nobody there is a failure, at once', async (t, world) => {
    const blocks = [0, 1].map((tag): PeerBlock => ({ tag, from: 0, lengthBytes: 100, to: 0 }));
    const ticket = new Uint8Array(PEER_TICKET_BYTES);
    for (const address of [world.deadAddress, 'nowhere', '127.0.0.1:0', '127.0.0.1:70000', '']) {
      t.strictSame(await received(world, ticket, blocks, 10_000, address), [failed, failed], address);
    }
  });

  withWorld('a silent peer costs the deadline, and its memory is not written later', async (t, world) => {
    const blocks = [0, 1].map((tag): PeerBlock => ({ tag, from: 0, lengthBytes: 100, to: tag * 100 }));
    world.received(0, 0, 200).fill(7);
    const ticket = new Uint8Array(PEER_TICKET_BYTES);
    t.strictSame(await received(world, ticket, blocks, 50, world.silentAddress), [late, late]);
    t.equal(world.receiver.counters.timeouts, 1);
    await world.pass(50);
    t.ok(world.received(0, 0, 200).every((byte) => byte === 7));
  });

  withWorld('stopping releases every offer and fails what is on its way', async (t, world) => {
    const block: PeerBlock = { tag: 1, from: 0, lengthBytes: 100, to: 0 };
    const offers = [offered(world, [block]), offered(world, [block])];
    const waiting = received(world, new Uint8Array(PEER_TICKET_BYTES), [block], 10_000, world.silentAddress);
    await world.pass(20);
    await world.settled(Promise.all([world.sender.stop(), world.receiver.stop()]));
    t.strictSame(await waiting, [failed]);
    t.strictSame(
      offers.map(({ released }) => released),
      [1, 1],
    );
    t.throws(() => world.sender.offer(offerRows([block]), 1, 1000, () => {}), { code: 'ERR_NODE_CLOSED' });
    const again = world.receiver.receive(
      world.sender.address,
      offers[0]!.ticket,
      receiveRows([block]),
      1,
      1000,
    );
    await t.rejects(again, { code: 'ERR_NODE_CLOSED' } as unknown as Error);
    await world.sender.stop();
  });

  withWorld('what leaves the arena, a region or the limits is a RangeError', async (t, world) => {
    const block: PeerBlock = { tag: 1, from: 0, lengthBytes: 100, to: 0 };
    const offer = (rows: Uint32Array, count: number, lifeMs = 1000) =>
      world.sender.offer(rows, count, lifeMs, () => t.fail('released what was not offered'));
    for (const from of [PEER_ARENA_BYTES - 99, PEER_ARENA_BYTES, 2 ** 40, 2 ** 53 - 4096]) {
      t.throws(() => offer(offerRows([{ ...block, from }]), 1), RangeError);
    }
    for (const count of [0, 2, 1.5, -1, PEER_BLOCKS_MAX + 1]) {
      t.throws(() => offer(offerRows([block]), count), RangeError);
    }
    for (const lifeMs of [0, -1, Number.NaN, 60_001])
      t.throws(() => offer(offerRows([block]), 1, lifeMs), RangeError);
    t.throws(() => offer(offerRows([{ ...block, lengthBytes: 0 }]), 1), RangeError);

    const { ticket } = offered(world, [block]);
    const receive = (rows: Uint32Array, count = 1, deadlineMs = 1000) =>
      world.receiver.receive(world.sender.address, ticket, rows, count, deadlineMs);
    for (const to of [PEER_ARENA_BYTES - 99, 2 ** 40]) {
      await t.rejects(receive(receiveRows([{ ...block, to }])), RangeError);
    }
    await t.rejects(
      receive(receiveRows([{ ...block, buffer: world.region, to: PEER_ARENA_BYTES / 4 - 99 }])),
      RangeError,
    );
    await t.rejects(receive(receiveRows([block]), 2), RangeError);
    await t.rejects(receive(receiveRows([block]), 0), RangeError);
    await t.rejects(receive(receiveRows([block]), 1, 0), RangeError);
    const short = world.receiver.receive(
      world.sender.address,
      ticket.subarray(1),
      receiveRows([block]),
      1,
      1000,
    );
    await t.rejects(short, TypeError);
  });

  withWorld('offers are bounded', async (t, world) => {
    const block: PeerBlock = { tag: 1, from: 0, lengthBytes: 100, to: 0 };
    let released = 0;
    const rows = offerRows([block]);
    const offers = Array.from({ length: PEER_OFFERS_MAX }, () =>
      world.sender.offer(rows, 1, 60_000, () => released++),
    );
    t.throws(() => world.sender.offer(rows, 1, 60_000, () => {}), { code: 'ERR_LIMIT' });
    for (const { end } of offers) end();
    await world.pass(200);
    t.equal(released, PEER_OFFERS_MAX);
    offered(world, [block]);
  });
}
