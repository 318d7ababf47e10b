import { RECEIVE_STATUS } from '@refill/interface';
import t from 'tap';
import {
  fillBlock,
  isBlock,
  offerRows,
  PEER_ARENA_BYTES,
  type PeerBlock,
  type PeerWorld,
  peerTransportCompliance,
  receiveRows,
  statuses,
} from '../compliance/peer-transport.ts';
import { ManualClock } from '../fixtures/manual-clock.ts';
import { MemoryIO } from '../fixtures/memory-io.ts';
import { mulberry } from '../fixtures/seeded-random.ts';
import { bytesOf, SimPeerNet, type SimPeerOptions } from '../fixtures/sim-peer.ts';

const { done, late, corrupt, failed, refused } = RECEIVE_STATUS;

function chanceOf(seed: number) {
  const unit = mulberry(seed);
  return {
    unit,
    bytes: <T extends Uint8Array>(target: T): T => {
      for (let i = 0; i < target.length; i++) target[i] = unit() * 256;
      return target;
    },
  };
}

async function worldOf(options: Partial<SimPeerOptions> = {}) {
  const clock = new ManualClock();
  const net = new SimPeerNet({ clock, chance: chanceOf(1), ...options });
  const [sending, receiving] = [new MemoryIO([PEER_ARENA_BYTES]), new MemoryIO([PEER_ARENA_BYTES])];
  receiving.files.set('region', new Uint8Array(PEER_ARENA_BYTES / 4));
  const region = await receiving.attachRegion({ path: 'region' }, PEER_ARENA_BYTES / 4);
  const sender = net.transport('a:1', bytesOf(sending));
  const receiver = net.transport('b:1', bytesOf(receiving));
  await Promise.all([sender.start(), receiver.start()]);
  net.kill('silent:1', 'silent');
  const world: PeerWorld = {
    sender,
    receiver,
    region,
    silentAddress: 'silent:1',
    deadAddress: 'dead:1',
    sent: bytesOf(sending).bind(undefined, 0),
    received: bytesOf(receiving),
    pass: (ms) => clock.advance(ms),
    async settled(promise) {
      let isSettled = false;
      const over = () => {
        isSettled = true;
      };
      promise.then(over, over);
      for (let i = 0; i < 20_000 && !isSettled; i++) await clock.advance(1);
      return promise;
    },
  };
  return { ...world, clock, net };
}

t.test('the simulated transport', async (t) => {
  peerTransportCompliance(t, () => worldOf());
});

const blocks = [0, 1, 2, 3].map(
  (tag): PeerBlock => ({ tag, from: tag * 1000, lengthBytes: 1000, to: 8000 + tag * 1000 }),
);

async function transfer(
  options: Partial<SimPeerOptions>,
  during?: (w: Awaited<ReturnType<typeof worldOf>>) => void,
) {
  const world = await worldOf({ bytesPerMs: 100, ...options });
  for (const block of blocks) fillBlock(world.sent(block.from, block.lengthBytes), block.tag);
  let released = 0;
  const { ticket } = world.sender.offer(offerRows(blocks), 4, 1000, () => released++);
  const rows = receiveRows(blocks);
  const receiving = world.receiver.receive('a:1', ticket, rows, 4, 200);
  await world.clock.advance(15);
  during?.(world);
  await world.settled(receiving);
  const statusNow = statuses(rows);
  for (const [i, block] of blocks.entries()) {
    if (statusNow[i] === done) t.ok(isBlock(world.received(0, block.to, block.lengthBytes), block.tag));
  }
  return { world, statusNow, released: () => released };
}

t.test('a sender that dies resets its connections, and a machine that dies is silent', async (t) => {
  const reset = await transfer({}, ({ net }) => net.kill('a:1'));
  t.strictSame(reset.statusNow, [done, failed, failed, failed]);
  const silent = await transfer({}, ({ net }) => net.kill('a:1', 'silent'));
  t.strictSame(silent.statusNow, [done, late, late, late]);
  await silent.world.pass(5000);
  t.equal(silent.released(), 0, 'nothing of a dead node runs on');
});

t.test('a partition is late, a broken connection fails, a changed bit is corrupt', async (t) => {
  let link: 'up' | 'silent' = 'up';
  const parted = await transfer({ link: () => link }, () => {
    link = 'silent';
  });
  t.strictSame(parted.statusNow, [done, late, late, late]);
  t.strictSame((await transfer({ lossRate: 1 })).statusNow, [failed, failed, failed, failed]);
  t.strictSame((await transfer({ corruptRate: 1 })).statusNow, [corrupt, corrupt, corrupt, corrupt]);
});

t.test('a ticket that ends in the middle is cut off, and released when nothing is sent', async (t) => {
  const world = await worldOf({ bytesPerMs: 100 });
  for (const block of blocks) fillBlock(world.sent(block.from, block.lengthBytes), block.tag);
  let released = 0;
  const { ticket, end } = world.sender.offer(offerRows(blocks), 4, 1000, () => released++);
  const rows = receiveRows(blocks);
  const receiving = world.receiver.receive('a:1', ticket, rows, 4, 200);
  await world.clock.advance(15);
  end();
  await world.clock.advance(1);
  t.equal(released, 0, 'the block on its way still reads its memory');
  await world.settled(receiving);
  t.strictSame(statuses(rows), [done, done, refused, refused]);
  t.equal(released, 1);
});

t.test('planted bugs give wrong bytes, so that a simulation can catch them', async (t) => {
  const bugs = { ticketsNeverExpire: true };
  const world = await worldOf({ bugs });
  fillBlock(world.sent(0, 1000), 0);
  let released = 0;
  const { ticket } = world.sender.offer(offerRows(blocks), 1, 100, () => released++);
  await world.pass(200);
  t.equal(released, 1);
  fillBlock(world.sent(0, 1000), 9);
  const rows = receiveRows(blocks.slice(0, 1));
  await world.settled(world.receiver.receive('a:1', ticket, rows, 1, 200));
  t.strictSame(statuses(rows), [done]);
  t.notOk(isBlock(world.received(0, 8000, 1000), 0));
});

t.test('the same seed gives the same run', async (t) => {
  const run = async () => {
    const { statusNow, world } = await transfer({ lossRate: 0.3, corruptRate: 0.3, chance: chanceOf(42) });
    return [statusNow, world.clock.nowMs(), world.receiver.counters];
  };
  t.strictSame(await run(), await run());
});
