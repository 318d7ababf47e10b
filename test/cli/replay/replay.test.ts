import {
  generateWorkload,
  type ReplayOptions,
  type ReplayResult,
  replay,
  replayTable,
  systemClock,
  type Trace,
  WORKLOAD_DEFAULT,
} from '@refill/cli';
import { keyOf, RefillError } from '@refill/interface';
import t from 'tap';
import { MemoryBlockStore } from '../../fixtures/memory-block-store.ts';

const OPTIONS: ReplayOptions = { blockBytes: 5000, concurrency: 1, durability: 'memory', deadlineMs: 1000 };

function trace(prompts: number[][], change: Partial<Trace> = {}): Trace {
  const requests = prompts.map((hashIds) => ({ atMs: 0, inputTokens: 1, outputTokens: 1, hashIds }));
  return {
    name: 'x',
    scope: 's',
    tokensPerBlock: 64,
    ordered: true,
    requestCount: prompts.length,
    requests,
    ...change,
  };
}

function run(
  double: MemoryBlockStore,
  traces: Trace[],
  change: Partial<ReplayOptions> = {},
): Promise<ReplayResult> {
  return replay({ stores: [double.asStore()], clock: systemClock }, traces, { ...OPTIONS, ...change });
}

const name = (id: number): string => Buffer.from(keyOf(`s/${id}`)).toString('hex');

t.test('requests read what is there, verify it and put the rest', async (t) => {
  const double = new MemoryBlockStore();
  const result = await run(double, [
    trace([
      [1, 2, 3],
      [1, 2, 4],
      [9, 2],
      [1, 2, 3],
    ]),
  ]);
  t.match(result, {
    requests: 4,
    blocksReferenced: 11,
    blocksHit: 5,
    hitRate: 5 / 11,
    idealHitRate: 5 / 11,
    mismatches: 0,
    bytesRead: 25_000,
    bytesWritten: 25_000,
    puts: { stored: 5, exists: 1, noRoom: 0 },
    promisedMisses: 0,
  });
  t.equal(double.held, 0, 'every view was released');
  t.same(
    [1, 2, 3, 4].map((id) => double.parents.get(name(id))),
    [undefined, name(1), name(2), name(2)],
  );
});

t.test('a second run on a warm store hits everything, beyond the ideal of a cold one', async (t) => {
  const double = new MemoryBlockStore();
  const workload = (): Trace[] => generateWorkload({ ...WORKLOAD_DEFAULT, seed: 3 });
  const cold = await run(double, workload(), { concurrency: 1 });
  t.equal(cold.hitRate, cold.idealHitRate);
  const warm = await run(double, workload());
  t.equal(warm.hitRate, 1);
  t.equal(warm.bytesWritten, 0);
  t.match(warm, { mismatches: 0, idealHitRate: cold.idealHitRate });
});

t.test('one flipped bit is a mismatch, counted once a read and placed', async (t) => {
  const double = new MemoryBlockStore({
    corrupt: (block, bytes) => {
      if (block === name(2)) bytes[4100]! ^= 1;
    },
  });
  const result = await run(double, [
    trace([
      [1, 2],
      [1, 2],
      [1, 2],
    ]),
  ]);
  t.equal(result.mismatches, 2);
  t.same(result.mismatchSamples, [`${name(2)} at 4096`, `${name(2)} at 4096`]);
  t.match(replayTable(result, 'x'), /2 BLOCKS ARE WRONG/);
});

t.test('the block of another key is a mismatch', async (t) => {
  const double = new MemoryBlockStore({
    corrupt: (block, bytes) => {
      if (block === name(2)) bytes.set(double.blocks.get(name(1))!);
    },
  });
  t.equal(
    (
      await run(double, [
        trace([
          [1, 2],
          [1, 2],
        ]),
      ])
    ).mismatches,
    1,
  );
});

t.test('a promised block that does not come ends the prefix and is put again', async (t) => {
  const double = new MemoryBlockStore({ missing: (block) => block === name(2) });
  const result = await run(double, [
    trace([
      [1, 2, 3],
      [1, 2, 3],
    ]),
  ]);
  t.match(result, { blocksHit: 1, promisedMisses: 2, mismatches: 0, puts: { stored: 3, exists: 2 } });
});

t.test('views and reservations are taken in pieces that fit the arena', async (t) => {
  const double = new MemoryBlockStore();
  const ids = Array.from({ length: 100 }, (_, i) => i);
  const result = await run(double, [trace([ids, ids])], { blockBytes: 1024 * 1024 });
  t.equal(result.blocksHit, 100);
  t.equal(double.heldMax, 16, 'a quarter of the 64 MiB arena');
});

t.test('a full arena is answered by waiting for write-behind', async (t) => {
  const double = new MemoryBlockStore({ arenaBytes: 20_000 });
  const result = await run(double, [
    trace([
      [1, 2],
      [1, 2, 3, 4],
      [1, 2, 3, 4, 5, 6],
    ]),
  ]);
  t.match(result, { puts: { stored: 6, noRoom: 0 } });
  t.equal(double.flushes, 2, 'once between, once at the end');
  const tiny = new MemoryBlockStore({ arenaBytes: 4000 });
  t.match(await run(tiny, [trace([[1, 2]])]), { puts: { stored: 0, noRoom: 2 }, mismatches: 0 });
});

t.test('requests of one ordered trace never overlap, those of others do', async (t) => {
  let [now, max] = [0, 0];
  const watch = (double: MemoryBlockStore) => {
    const store = double.asStore();
    const namespace = store.namespace;
    store.namespace = async (fingerprint) => {
      const opened = await namespace(fingerprint);
      const { matchPrefix } = opened;
      opened.matchPrefix = async (keys) => {
        max = Math.max(max, ++now);
        await new Promise((resolve) => setImmediate(resolve));
        now--;
        return matchPrefix(keys);
      };
      return opened;
    };
    return store;
  };
  const prompts = Array.from({ length: 12 }, (_, i) => [i]);
  const parts = { stores: [watch(new MemoryBlockStore())], clock: systemClock };
  await replay(parts, [trace(prompts)], { ...OPTIONS, concurrency: 4 });
  t.equal(max, 1);
  await replay(parts, [trace(prompts, { ordered: false })], { ...OPTIONS, concurrency: 4 });
  t.equal(max, 4);
});

t.test('a limit ends the run after so many requests', async (t) => {
  const result = await run(new MemoryBlockStore(), [trace([[1], [2], [3], [4], [5]], { ordered: false })], {
    limit: 3,
    concurrency: 2,
  });
  t.match(result, { requests: 3, blocksReferenced: 3 });
});

t.test('the scale against a real model is part of the result', async (t) => {
  const result = await run(new MemoryBlockStore(), [trace([[1]])], {
    blockBytes: undefined,
    bytesPerToken: 128,
  });
  t.match(result.scale, [
    { tokensPerBlock: 64, blockBytes: 8192, bytesPerToken: 128, realBytesPerToken: 131_072, ratio: 1 / 1024 },
  ]);
  t.match(replayTable(result, 'x'), /1\/1,024 of Llama-3\.1-8B/);
});

t.test('an error of the store or of the trace ends every worker and is thrown', async (t) => {
  const double = new MemoryBlockStore();
  const store = double.asStore();
  store.namespace = async () => {
    throw new RefillError('ERR_NODE_CLOSED', 'gone');
  };
  await t.rejects(replay({ stores: [store], clock: systemClock }, [trace([[1]])], OPTIONS), {
    code: 'ERR_NODE_CLOSED',
  });
  async function* broken() {
    yield { atMs: 0, inputTokens: 1, outputTokens: 1, hashIds: [1] };
    throw new RefillError('ERR_INVALID_ARGUMENT', 'file:2: is not JSON');
  }
  await t.rejects(
    run(new MemoryBlockStore(), [trace([], { requests: broken(), ordered: false })], { concurrency: 3 }),
    {
      code: 'ERR_INVALID_ARGUMENT',
    },
  );
});

t.test('an abort ends the run', async (t) => {
  const signal = AbortSignal.abort();
  await t.rejects(run(new MemoryBlockStore(), [trace([[1], [2]])], { signal }), { name: 'AbortError' });
});
