import { IO_OP, type IoBatch } from '@refill/interface';
import t from 'tap';
import { IoBatches } from '../../../packages/store/src/segment/io-batches.ts';
import { SegmentSync } from '../../../packages/store/src/segment/segment-sync.ts';

/** Syncs that end when the test says so, with the result it gives. */
class HeldSyncs {
  readonly held: ((result: number) => void)[] = [];
  readonly counters = { syncs: 0 };
  readonly sync = new SegmentSync(
    {
      io: {
        submit: (batch: IoBatch) =>
          new Promise<void>((resolve) => {
            t.equal(batch.count, 1);
            t.equal(batch.words[0], IO_OP.sync);
            this.held.push((result) => {
              batch.words[9] = result;
              resolve();
            });
          }),
        // Nothing else of it is used.
      } as never,
      batches: new IoBatches(1),
      counters: this.counters,
    },
    1,
    1000,
  );
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('a sync covers only those that asked before it began, and the next is shared', async (t) => {
  const { held, sync, counters } = new HeldSyncs();
  const ended: string[] = [];
  const note = (name: string) => (errno: number) => void ended.push(`${name} ${errno}`);
  const first = sync.sync().then(note('first'));
  t.equal(held.length, 1, 'submitted before the call returns');
  const second = sync.sync().then(note('second'));
  const third = sync.sync().then(note('third'));
  held[0]!(0);
  await first;
  await turn();
  t.same(ended, ['first 0'], 'the others wait for a sync that began after they asked');
  t.equal(held.length, 2, 'one for both');
  held[1]!(0);
  await Promise.all([second, third]);
  t.same(ended, ['first 0', 'second 0', 'third 0']);
  t.equal(counters.syncs, 2);
  t.ok(sync.idle);
});

t.test('after a failed sync none is tried again and every later one fails alike', async (t) => {
  const { held, sync } = new HeldSyncs();
  const first = sync.sync();
  const second = sync.sync();
  held[0]!(-5);
  t.equal(await first, 5);
  t.equal(await second, 5);
  t.equal(await sync.sync(), 5);
  t.equal(held.length, 1);
});

t.test('a write that carries its sync is the one sync under way', async (t) => {
  const { held, sync, counters } = new HeldSyncs();
  let end: (errno: number) => void = () => {};
  const along = sync.along(
    () =>
      new Promise((resolve) => {
        end = resolve;
      }),
  );
  t.notOk(sync.idle);
  await t.rejects(
    sync.along(async () => 0),
    'a second one is refused',
  );
  const later = sync.sync();
  await turn();
  t.equal(held.length, 0, 'what comes meanwhile waits for it');
  end(0);
  t.equal(await along, 0);
  await turn();
  t.equal(held.length, 1);
  held[0]!(0);
  t.equal(await later, 0);
  t.equal(counters.syncs, 2);
});

t.test('a failed write that carries its sync fails what waits behind it', async (t) => {
  const { held, sync } = new HeldSyncs();
  const along = sync.along(async () => 28);
  const later = sync.sync();
  t.equal(await along, 28);
  t.equal(await later, 28);
  t.equal(held.length, 0);
});
