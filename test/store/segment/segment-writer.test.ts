import { PUT_STATUS } from '@refill/interface';
import t, { type Test } from 'tap';
import { BlockModel, runHistory } from '../../fixtures/block-model.ts';
import { mulberry, seededRandom } from '../../fixtures/seeded-random.ts';
import type { SimFault, SimOp } from '../../fixtures/sim-io.ts';
import { blockOf, keyOf, sameBlock, TierWorld } from '../../fixtures/tier-world.ts';

const PAYLOAD_BYTES = 2 ** 21;

/** Fails the n-th operation for every n until a run is clean: every store settles and every promise is kept. */
async function sweep(t: Test, fault: SimFault, kinds: readonly SimOp['kind'][]): Promise<void> {
  const seed = Math.floor(seededRandom(t)() * 2 ** 31);
  let n = 0;
  for (let clean = false; !clean; n++) {
    const world = new TierWorld({ random: mulberry(seed + 1), payloadBytes: PAYLOAD_BYTES });
    const model = new BlockModel();
    let point = 0;
    clean = true;
    await world.boot({
      fault: (op) => {
        if (!kinds.includes(op.kind) || point++ !== n) return undefined;
        clean = false;
        return fault;
      },
    });
    await world.open({ batchBytes: 60_000, patienceMs: 1, writeDeadlineMs: 100 });
    await runHistory(world, model, mulberry(seed), 8);
    const faults = await model.check(world);
    await world.close();
    if (world.io.openHandles !== 0) faults.push('a file is still open');
    if (world.tier.counters.backlogBytes !== 0) faults.push('a backlog is left');
    if (world.directory.segments().some((segment) => segment.state === 'open')) {
      faults.push('a segment is still open');
    }
    if (faults.length > 0) {
      t.fail(`operation ${n} of seed ${seed}`, { faults });
      return;
    }
  }
  t.comment(`${n} operations`);
  t.ok(n > 5);
}

const WRITES = ['create', 'write', 'sync', 'checksum'] as const;

t.test('an I/O error on the write path costs a segment and no block', (t) => sweep(t, { errno: 5 }, WRITES));
t.test('a short write costs a segment and no block', (t) => sweep(t, { short: true }, ['write']));
t.test('a hung write costs a segment and no block', (t) => sweep(t, { hang: true }, ['write', 'sync']));
t.test('a stale handle costs a segment and no block', (t) => sweep(t, { errno: 116 }, WRITES));

t.test('a segment that failed is abandoned at what was committed and never written again', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  let syncs = 0;
  await world.boot({ fault: (op) => (op.kind === 'sync' && ++syncs === 2 ? { errno: 5 } : undefined) });
  await world.open();
  await world.store([blockOf(1, 5000)]);
  t.same(await world.store([blockOf(2, 5000)]), [PUT_STATUS.stored], 'written again from memory');
  await world.tier.seal();
  t.same(
    world.directory.segments().map((segment) => segment.state),
    ['abandoned', 'sealed'],
  );
  t.equal(world.directory.segments()[0]!.endBytes, 4096 + 4096 + 8192);
  t.equal(world.tier.counters.segmentsAbandoned, 1);
  for (const n of [1, 2]) t.ok(sameBlock((await world.load([keyOf(n)]))[0], blockOf(n, 5000)));
  await world.close();
});

t.test('a batch is not published while the one before it is not durable', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  const synced: string[] = [];
  await world.boot({
    fault: (op) => (op.kind === 'sync' && synced.push(op.path) === 1 ? { errno: 5 } : undefined),
  });
  await world.open({ batchBytes: 60_000 });
  const stores = [1, 2].map((n) => world.store([blockOf(n, 50_000)]));
  t.same(await Promise.all(stores), [[PUT_STATUS.stored], [PUT_STATUS.stored]]);
  t.equal(synced[0], synced[1], 'both went into one segment first');
  const holders = world.directory.segments().filter(({ liveBlocks }) => liveBlocks > 0);
  t.equal(holders.length, 1);
  t.notOk(synced[0]!.includes(Buffer.from(holders[0]!.id).toString('hex')), 'and are nowhere visible in it');
  for (const n of [1, 2]) t.ok(sameBlock((await world.load([keyOf(n)]))[0], blockOf(n, 50_000)));
  await world.close();
});

t.test('the second failure of a block is told', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot({ fault: (op) => (op.kind === 'sync' ? { errno: 5 } : undefined) });
  await world.open();
  t.same(await world.store([blockOf(1, 5000)]), [PUT_STATUS.failed]);
  await world.close();
  t.equal(world.tier.counters.segmentsAbandoned, 2);
});

t.test('a full disk loses nothing that was stored, and is tried again later', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot({ capacityBytes: 40 * 4096 });
  await world.open();
  t.same(await world.store([blockOf(1, 50_000)]), [PUT_STATUS.stored]);
  t.same(await world.store([blockOf(2, 200_000)]), [PUT_STATUS.failed]);
  const created = world.disk.created.size;
  t.same(await world.store([blockOf(3, 50_000)]), [PUT_STATUS.failed]);
  t.equal(world.disk.created.size, created, 'no segment is made meanwhile');
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 50_000)));
  world.io.options.capacityBytes = undefined;
  await new Promise<void>((resolve) => world.clock.after(120_000, resolve));
  t.same(await world.store([blockOf(3, 50_000)]), [PUT_STATUS.stored]);
  await world.close();
});

t.test('a fenced node changes nothing any more', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000)]);
  await world.directory.acquireEpoch('node-a');
  t.same(await world.store([blockOf(2, 5000)]), [PUT_STATUS.failed]);
  t.same(await world.load([keyOf(2)]), [undefined]);
  t.same(await world.store([blockOf(3, 5000)]), [PUT_STATUS.failed]);
  await world.close();
});

t.test('scratch memory of a hung write is kept until the kernel lets go', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  let hung = 0;
  const releases: (() => void)[] = [];
  await world.boot({
    releases,
    fault: (op) => (op.kind === 'write' && hung++ === 0 ? { hang: true } : undefined),
  });
  await world.open({ writeDeadlineMs: 1000 });
  t.same(await world.store([blockOf(1, 5000)]), [PUT_STATUS.stored]);
  t.equal(world.scratch.taken, 1, 'the header that the kernel still holds');
  for (const release of releases) release();
  t.equal(world.scratch.taken, 0);
  await world.close();
});
