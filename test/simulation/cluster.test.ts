import t from 'tap';
import { makeSimulation, type SimulatedSeed, simulateSeeds } from '../../scripts/simulate.mjs';
import { FORMER_SEEDS } from './former-seeds.ts';

t.setTimeout(1_200_000);

const simulation = makeSimulation();
t.teardown(() => simulation.remove());

/** `REFILL_SEED` runs one world alone and tells all that happens in it. */
const only = process.env.REFILL_SEED;
const seeds = Number(process.env.REFILL_SIM_SEEDS ?? 10_000);

function tell({ seed, violations }: SimulatedSeed): string {
  return `REFILL_SEED=${seed} breaks ${violations.join('\n')}`;
}

t.test('every world keeps the guarantees', async (t) => {
  const range = only === undefined ? { from: 1, seeds } : { from: Number(only), seeds: 1 };
  const isOne = only !== undefined;
  const run = await simulateSeeds(simulation, { ...range, lanes: isOne ? 1 : 2, isVerbose: isOne });
  t.comment(
    `${run.seeds} seeds, ${Math.round(run.virtualMs / 3_600_000)} hours of clusters, ${run.fired} events`,
  );
  for (const failure of run.failures) t.fail(tell(failure));
  t.equal(run.seeds, range.seeds, 'every seed was run to its end');
});

t.test('seeds that once broke a guarantee keep it', async (t) => {
  for (const { seed, why } of FORMER_SEEDS) {
    const { failures } = await simulateSeeds(simulation, { from: seed, seeds: 1, lanes: 1 });
    t.same(failures.map(tell), [], why);
  }
});

t.test('a seed replays bit for bit, also in another process and after other seeds', async (t) => {
  const hashes = async (from: number, seeds: number): Promise<Map<number, string>> => {
    const found = new Map<number, string>();
    const onOutcome = ({ seed, hash }: SimulatedSeed): void => void found.set(seed, hash);
    await simulateSeeds(simulation, { from, seeds, lanes: 1, onOutcome });
    return found;
  };
  const [whole, part] = await Promise.all([hashes(1, 40), hashes(21, 20)]);
  for (const [seed, hash] of part) t.equal(whole.get(seed), hash, `seed ${seed}`);
  t.equal(new Set(whole.values()).size, 40, 'and no two seeds are alike');
});
