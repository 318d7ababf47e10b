import { generateWorkload, IdealCache, SeededRandom, type Trace, WORKLOAD_DEFAULT } from '@refill/cli';
import t from 'tap';

const plain = (traces: Trace[]): unknown =>
  traces.map(({ requests, ...rest }) => ({ ...rest, requests: [...(requests as never[])] }));

t.test('the same seed gives the same workload, another one another', async (t) => {
  const make = (seed: number): Trace[] => generateWorkload({ ...WORKLOAD_DEFAULT, seed });
  t.same(plain(make(1)), plain(make(1)));
  t.notSame(plain(make(1)), plain(make(2)));
});

t.test('conversations share the system prompt, grow turn by turn and are mostly hits', async (t) => {
  const traces = generateWorkload({ ...WORKLOAD_DEFAULT, seed: 7 });
  const ideal = new IdealCache();
  const firsts: (readonly number[])[] = [];
  for (const { requests, scope } of traces) {
    const list = [...(requests as Iterable<{ hashIds: readonly number[] }>)];
    firsts.push(list[0]!.hashIds);
    for (const { hashIds } of list) {
      t.same(
        hashIds.slice(0, WORKLOAD_DEFAULT.systemBlocks),
        firsts[0]!.slice(0, WORKLOAD_DEFAULT.systemBlocks),
      );
      t.equal(new Set(hashIds).size, hashIds.length, 'no block twice in one prompt');
      ideal.add(scope, hashIds);
    }
    t.ok(list.at(-1)!.hashIds.length > 30);
  }
  t.notSame(firsts[0], firsts[1]);
  t.ok(ideal.hitRate > 0.8, `ideal hit rate ${ideal.hitRate}`);
});

t.test('the random generator is the same on every machine', async (t) => {
  const random = new SeededRandom(42);
  const first = [random.word(), random.word(), random.word()];
  const again = new SeededRandom(42);
  t.same(first, [again.word(), again.word(), again.word()]);
  const values = Array.from({ length: 2000 }, () => random.between(3, 5));
  t.same(new Set(values), new Set([3, 4, 5]));
});
