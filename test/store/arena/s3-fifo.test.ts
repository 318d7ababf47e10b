import t from 'tap';
import { S3Fifo } from '../../../packages/store/src/arena/s3-fifo.ts';

function fifoOf(count: number): S3Fifo {
  const fifo = new S3Fifo(100);
  fifo.grow(count + 10);
  for (let id = 0; id < count; id++) fifo.insert(id, 1, id + 1);
  return fifo;
}
const every = () => true;

t.test('newcomers leave in order, those used again stay', async (t) => {
  const fifo = fifoOf(20);
  fifo.touch(0);
  fifo.touch(0);
  const gone: number[] = [];
  for (let i = 0; i < 5; i++) {
    const id = fifo.victim(every, 100);
    gone.push(id);
    fifo.remove(id);
  }
  t.same(gone, [1, 2, 3, 4, 5]);
});

t.test('a scan does not push out what is used, and what comes back is kept', async (t) => {
  const fifo = fifoOf(12);
  const first = fifo.victim(every, 100);
  fifo.remove(first);
  fifo.insert(first, 1, first + 1);
  for (let id = 12; id < 20; id++) fifo.insert(id, 1, id + 1);
  const gone: number[] = [];
  for (let i = 0; i < 9; i++) {
    const id = fifo.victim(every, 100);
    gone.push(id);
    fifo.remove(id);
  }
  t.notOk(gone.includes(first), 'its ghost led it past the small queue');
});

t.test('what may not go is parked until it may, and the work of a call is bounded', async (t) => {
  const fifo = fifoOf(10);
  t.equal(
    fifo.victim(() => false, 4),
    -1,
    'gave up after four',
  );
  t.equal(
    fifo.victim(() => false, 100),
    -1,
    'all are parked',
  );
  t.equal(fifo.victim(every, 100), -1);
  fifo.unpark(7);
  t.equal(fifo.victim(every, 100), 7);
});

t.test('what was made ready goes first, unless it was used meanwhile', async (t) => {
  const fifo = fifoOf(20);
  for (let i = 0; i < 4; i++) {
    const id = fifo.advance(every, 100);
    t.equal(id, i, 'in the order of eviction');
    if (i % 2 === 0) fifo.ready(id);
    else {
      fifo.hold(id);
      t.equal(fifo.advance(every, 100), i + 1, 'one that is held is proposed to nobody');
      fifo.ready(id);
    }
  }
  t.equal(fifo.readyUnits, 4);
  fifo.touch(1);
  const gone: number[] = [];
  for (let i = 0; i < 4; i++) {
    const id = fifo.victim(every, 100);
    gone.push(id);
    fifo.remove(id);
  }
  t.same(gone, [0, 2, 3, 4], 'then the others');
  t.equal(fifo.readyUnits, 0);
  t.ok(fifo.wasUsed(1) && !fifo.wasUsed(10));
});

t.test('a ready block that may not go is parked and comes back', async (t) => {
  const fifo = fifoOf(3);
  fifo.ready(fifo.advance(every, 100));
  t.equal(
    fifo.victim((id) => id !== 0, 100),
    1,
  );
  fifo.unpark(0);
  t.equal(fifo.readyUnits, 0);
  fifo.remove(0);
  t.equal(fifo.victim(every, 100), 1);
});

t.test('what is wanted no more leaves before all others, unless it is used after all', async (t) => {
  const fifo = fifoOf(20);
  fifo.insert(20, 1, 21, true);
  fifo.insert(21, 1, 22, true);
  fifo.touch(20);
  const gone = [0, 1].map(() => {
    const id = fifo.victim(every, 100);
    fifo.remove(id);
    return id;
  });
  t.same(gone, [21, 0], 'the one that was used goes like any other');
});

t.test('the hottest come first: by uses, then the newest', async (t) => {
  const fifo = fifoOf(5);
  for (const [id, uses] of [
    [3, 3],
    [1, 2],
    [4, 2],
  ] as const)
    for (let i = 0; i < uses; i++) fifo.touch(id);
  const order: number[] = [];
  fifo.forEachHottest((id) => order.push(id) < 4);
  t.same(order, [3, 4, 1, 2]);
});
