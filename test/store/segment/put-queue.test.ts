import { BLOCK_FLAG, PUT_STATUS } from '@refill/interface';
import { STORE_ROW, STORE_ROW_WORDS } from '@refill/store';
import t from 'tap';
import { PutQueue, type StoreRequest, settleStore } from '../../../packages/store/src/segment/put-queue.ts';

const MANY = Number.POSITIVE_INFINITY;

function requestOf(lengths: number[], flags = 0): StoreRequest & { settled: number } {
  const rows = new Uint32Array(lengths.length * STORE_ROW_WORDS);
  for (const [i, length] of lengths.entries()) rows[i * STORE_ROW_WORDS + STORE_ROW.lengthBytes] = length;
  const request = {
    rows,
    flags,
    remaining: lengths.length,
    settled: 0,
    resolve: () => void request.settled++,
  };
  return request;
}

const all = (request: StoreRequest): Uint32Array =>
  Uint32Array.from({ length: request.rows.length / STORE_ROW_WORDS }, (_, i) => i);

t.test('blocks leave in the order in which they came, over requests, within count and bytes', async (t) => {
  const queue = new PutQueue();
  const [one, two] = [requestOf([1, 4097, 5]), requestOf([4096, 4096])];
  queue.add(one, all(one), false);
  queue.add(two, all(two), false);
  t.equal(queue.blocks, 5);
  t.equal(queue.bytes, (1 + 2 + 1 + 1 + 1) * 4096, 'each in whole pages');
  t.equal(queue.firstBytes, 4096);
  t.same(queue.take(MANY, 3 * 4096)?.rowIndexes, [0, 1]);
  const pick = queue.take(2, MANY);
  t.same(pick?.rowIndexes, [2, 0]);
  t.same(pick?.requests, [one, two]);
  t.equal(queue.firstBytes, 4096);
  t.same(queue.take(MANY, MANY)?.rowIndexes, [1]);
  t.equal(queue.take(MANY, MANY), undefined);
  t.match(queue, { empty: true, blocks: 0, bytes: 0 });
});

t.test('a block longer than the bytes asked for stays, and so does what is behind it', async (t) => {
  const queue = new PutQueue();
  const request = requestOf([8192, 1]);
  queue.add(request, all(request), false);
  t.equal(queue.take(MANY, 4096), undefined);
  t.match(queue, { blocks: 2, bytes: 12_288 });
});

t.test('a removal stays behind the put before it, in a batch of its own, and has no bytes', async (t) => {
  const queue = new PutQueue();
  const [put, removal, again] = [requestOf([100]), requestOf([100], BLOCK_FLAG.tombstone), requestOf([7])];
  for (const request of [put, removal, again]) queue.add(request, all(request), false);
  t.equal(queue.bytes, 8192);
  t.match(queue.take(MANY, MANY), { flags: 0, requests: [put] });
  t.match(queue.take(MANY, 0), { flags: BLOCK_FLAG.tombstone, requests: [removal] });
  t.match(queue.take(MANY, MANY), { flags: 0, requests: [again] });
});

t.test('blocks of a failed batch go first, by themselves, and count their attempts', async (t) => {
  const queue = new PutQueue();
  const [one, two, three] = [requestOf([1, 1]), requestOf([1]), requestOf([1])];
  for (const request of [one, two]) queue.add(request, all(request), false);
  const failed = queue.take(MANY, MANY)!;
  t.equal(failed.attempts, 0);
  queue.add(three, all(three), false);
  queue.putBack(failed);
  t.match(queue, { blocks: 4, urgent: true });
  const again = queue.take(MANY, MANY)!;
  t.same(again.rowIndexes, [0, 1, 0]);
  t.same(again.requests, [one, one, two]);
  t.match(again, { attempts: 1, urgent: true });
  t.equal(queue.urgent, false);
  t.match(queue.take(MANY, MANY), { attempts: 0, requests: [three], urgent: false });
});

t.test('the queue is urgent as long as a block that somebody waits for is in it', async (t) => {
  const queue = new PutQueue();
  const [behind, awaited] = [requestOf([1]), requestOf([1, 1])];
  queue.add(behind, all(behind), false);
  queue.add(awaited, all(awaited), true);
  t.equal(queue.urgent, true);
  t.equal(queue.take(1, MANY)?.urgent, false);
  t.equal(queue.take(1, MANY)?.urgent, true);
  t.equal(queue.urgent, true);
  t.equal(queue.take(1, MANY)?.urgent, true);
  t.equal(queue.urgent, false);
});

t.test('a request is settled with its last row, each row by its own outcome', async (t) => {
  const request = requestOf([1, 1]);
  settleStore(request, 1, PUT_STATUS.stored);
  t.equal(request.settled, 0);
  settleStore(request, 0, PUT_STATUS.failed);
  t.equal(request.settled, 1);
  const statusOf = (row: number): number | undefined =>
    request.rows[row * STORE_ROW_WORDS + STORE_ROW.status];
  t.same([statusOf(0), statusOf(1)], [PUT_STATUS.failed, PUT_STATUS.stored]);
});
