import { MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { metadataEngineCompliance } from '../compliance/metadata-engine.ts';

metadataEngineCompliance(t, () => new MemoryEngine());

t.test('a crash keeps durable writes, those before them, and a prefix of the rest', async (t) => {
  const engine = new MemoryEngine();
  const put = (name: number, durable: boolean): Promise<boolean[]> =>
    engine.write([{ key: Uint8Array.of(name), value: Uint8Array.of(name) }], { durable });
  await put(1, false);
  await put(2, true);
  await put(3, false);
  await put(4, false);
  t.equal(engine.unsynced, 2);
  engine.crash(1);
  const values = await engine.getMany([1, 2, 3, 4].map((name) => Uint8Array.of(name)));
  t.same(
    values.map((value) => value?.[0]),
    [1, 2, 3, undefined],
  );
});
