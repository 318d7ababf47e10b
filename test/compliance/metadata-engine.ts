import type { MetadataEngine } from '@refill/interface';
import type { Test } from 'tap';
import { mulberry } from '../fixtures/seeded-random.ts';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const text = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString();
const ALL = { gte: bytes(''), lt: Uint8Array.of(255) };

async function contents(engine: MetadataEngine, range = ALL): Promise<string[]> {
  const records: string[] = [];
  for await (const chunk of engine.scan(range)) {
    for (const [key, value] of chunk) records.push(`${text(key)}=${text(value)}`);
  }
  return records;
}

/** What every metadata engine promises. `create` gives a fresh, stopped one; the content outlives stop and start. */
export function metadataEngineCompliance(t: Test, create: (t: Test) => MetadataEngine): void {
  const started = async (t: Test): Promise<MetadataEngine> => {
    const engine = create(t);
    await engine.start();
    t.teardown(() => engine.stop());
    return engine;
  };

  t.test('reads what was written, undefined where nothing is, in the order of the keys', async (t) => {
    const engine = await started(t);
    t.same(
      await engine.write([
        { key: bytes('a'), value: bytes('1') },
        { key: bytes('b'), value: bytes('2') },
      ]),
      [true, true],
    );
    const values = await engine.getMany([bytes('b'), bytes('x'), bytes('a')]);
    t.same(values.map(text), ['2', undefined, '1']);
    t.same(await engine.getMany([]), []);
    t.same(await engine.write([]), []);
  });

  t.test('put-if-absent, compare-and-set and delete-if-equal decide one key each', async (t) => {
    const engine = await started(t);
    const key = bytes('k');
    const put = { key, value: bytes('1'), expect: { absent: true } } as const;
    t.same(await engine.write([put]), [true]);
    t.same(
      await engine.write([
        { ...put, value: bytes('2') },
        { key: bytes('other'), value: bytes('o') },
      ]),
      [false, true],
    );
    const set = { key, value: bytes('2'), expect: { equals: bytes('1') } };
    t.same(await engine.write([set]), [true]);
    t.same(await engine.write([set]), [false]);
    t.same(await engine.write([{ key, value: undefined, expect: { equals: bytes('1') } }]), [false]);
    t.same(await engine.write([{ key, value: undefined, expect: { equals: bytes('2') } }]), [true]);
    t.same(await engine.write([{ ...set, expect: { equals: bytes('2') } }]), [false]);
    t.same(await contents(engine), ['other=o']);
  });

  t.test('operations of one call see those before them', async (t) => {
    const engine = await started(t);
    const key = bytes('k');
    t.same(
      await engine.write([
        { key, value: bytes('1') },
        { key, value: bytes('2'), expect: { absent: true } },
        { key, value: bytes('3'), expect: { equals: bytes('1') } },
        { key, value: undefined, expect: { equals: bytes('3') } },
        { key, value: bytes('4'), expect: { absent: true } },
      ]),
      [true, false, true, true, true],
    );
    t.same(await contents(engine), ['k=4']);
  });

  t.test('calls made without waiting are applied in their order, durable or not', async (t) => {
    const engine = await started(t);
    const random = mulberry(7);
    const model = new Map<string, string>();
    const calls: Promise<void>[] = [];
    for (let step = 0; step < 400; step++) {
      const name = `k${(random() * 8) | 0}`;
      const before = model.get(name);
      const value = random() < 0.3 ? undefined : `${step}`;
      const kind = random();
      const guess = random() < 0.7 ? before : 'wrong';
      const expect =
        kind < 0.4
          ? undefined
          : kind < 0.6 || guess === undefined
            ? { absent: true as const }
            : { equals: bytes(guess) };
      const applies =
        expect === undefined ||
        ('absent' in expect ? before === undefined : before !== undefined && before === guess);
      if (applies && value === undefined) model.delete(name);
      else if (applies && value !== undefined) model.set(name, value);
      const call = engine.write(
        [{ key: bytes(name), value: value === undefined ? undefined : bytes(value), expect }],
        { durable: random() < 0.2, barrier: random() < 0.1 },
      );
      calls.push(
        call.then(([result]) => {
          if (result !== applies) t.fail(`step ${step}: ${result}, model ${applies}`);
        }),
      );
      if (random() < 0.05) await call;
    }
    await Promise.all(calls);
    t.same(await contents(engine), [...model].map(([key, value]) => `${key}=${value}`).sort());
  });

  t.test('independent calls come after the others before them and before those after them', async (t) => {
    const engine = await started(t);
    const names = Array.from({ length: 8 }, (_, i) => `k${i}`);
    const calls: Promise<boolean[]>[] = [];
    for (let round = 0; round < 20; round++) {
      calls.push(engine.write(names.map((name) => ({ key: bytes(name), value: undefined }))));
      for (const name of names) {
        const op = { key: bytes(name), value: bytes(`${round}`) };
        calls.push(engine.write([op], { durable: round % 3 === 0, independent: true }));
      }
      const expect = { equals: bytes(`${round}`) };
      calls.push(engine.write(names.map((name) => ({ key: bytes(name), value: bytes('x'), expect }))));
    }
    t.ok((await Promise.all(calls)).every((results) => results.every(Boolean)));
    t.same(
      await contents(engine),
      names.map((name) => `${name}=x`),
    );
  });

  t.test('bytes returned belong to the caller', async (t) => {
    const engine = await started(t);
    await engine.write([{ key: bytes('k'), value: bytes('1') }]);
    const [value] = await engine.getMany([bytes('k')]);
    value!.fill(0);
    t.same((await engine.getMany([bytes('k')])).map(text), ['1']);
  });

  t.test('a scan is in key order, within its range, as of the call', async (t) => {
    const engine = await started(t);
    const ops = Array.from({ length: 2500 }, (_, i) => ({
      key: bytes(`k${String((i * 7919) % 2500).padStart(4, '0')}`),
      value: bytes('v'),
    }));
    await engine.write(ops, { durable: true });
    const scan = engine.scan({ gte: bytes('k0010'), lt: bytes('k2400') });
    await engine.write([
      { key: bytes('k0500'), value: undefined },
      { key: bytes('k0500a'), value: bytes('n') },
    ]);
    const seen: string[] = [];
    for await (const chunk of scan) for (const [key] of chunk) seen.push(text(key)!);
    t.same(
      seen,
      Array.from({ length: 2390 }, (_, i) => `k${String(i + 10).padStart(4, '0')}`),
    );
    for await (const chunk of engine.scan(ALL)) {
      t.ok(chunk.length > 0);
      break;
    }
  });

  t.test('clear empties a range after the writes before it', async (t) => {
    const engine = await started(t);
    const writes = ['a1', 'b1', 'b2', 'c1'].map((key) =>
      engine.write([{ key: bytes(key), value: bytes('v') }]),
    );
    await engine.clear({ gte: bytes('b'), lt: bytes('c') });
    await Promise.all(writes);
    t.same(await contents(engine), ['a1=v', 'c1=v']);
    await engine.clear({ gte: bytes('b'), lt: bytes('c') });
  });

  t.test('the content outlives stop and start', async (t) => {
    const engine = await started(t);
    await engine.write([{ key: bytes('k'), value: Uint8Array.of(0, 255, 128) }], { durable: true });
    await engine.stop();
    await engine.start();
    t.same(await engine.getMany([bytes('k')]), [Uint8Array.of(0, 255, 128)]);
  });
}
