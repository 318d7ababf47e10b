import { MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { metadataEngineCompliance } from '../compliance/metadata-engine.ts';

metadataEngineCompliance(t, () => new MemoryEngine());

const keyOf = (name: number): Uint8Array => Uint8Array.of(name);

async function left(engine: MemoryEngine, count: number): Promise<(number | undefined)[]> {
  const names = Array.from({ length: count }, (_, i) => keyOf(i + 1));
  return (await engine.getMany(names)).map((value) => value?.[0]);
}

t.test('a crash keeps durable writes, those before them, and a prefix of the rest', async (t) => {
  const engine = new MemoryEngine();
  const put = (name: number, durable: boolean): Promise<boolean[]> =>
    engine.write([{ key: keyOf(name), value: keyOf(name) }], { durable });
  await put(1, false);
  await put(2, true);
  await put(3, false);
  await put(4, false);
  t.equal(engine.unsynced, 2);
  engine.crash(1);
  t.same(await left(engine, 4), [1, 2, 3, undefined]);
});

t.test('in a new log a durable call covers none of the logs before, a barrier and a clear all', async (t) => {
  const put = (engine: MemoryEngine, name: number, options?: { durable: boolean; barrier?: boolean }) =>
    engine.write([{ key: keyOf(name), value: keyOf(name) }], options);
  for (const [last, expected] of [
    [undefined, [1, undefined, undefined, 4]],
    [{ durable: true, barrier: true }, [1, 2, 3, 4, 5]],
    [{ durable: false, barrier: true }, [1, 2, 3, 4, undefined]],
  ] as const) {
    const engine = new MemoryEngine();
    await put(engine, 1, { durable: true });
    await put(engine, 2);
    engine.rollLog();
    await put(engine, 3);
    engine.rollLog();
    await put(engine, 4, { durable: true });
    t.equal(engine.unsynced, 2);
    if (last !== undefined) await put(engine, 5, last);
    engine.crash();
    t.same(await left(engine, expected.length), expected);
  }
  const cleared = new MemoryEngine();
  await put(cleared, 1);
  cleared.rollLog();
  await cleared.clear({ gte: keyOf(9), lt: keyOf(10) });
  cleared.crash();
  t.same(await left(cleared, 1), [1]);
});
