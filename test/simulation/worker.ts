import { simulate } from './simulate.ts';

interface Work {
  from: number;
  count: number;
  plant: string | undefined;
  isGate: boolean;
  isVerbose: boolean;
}

/** A process that runs seeds as it is told, and tells their outcomes. */
process.on('message', async (work: Work | 'end') => {
  if (work === 'end') process.exit(0);
  const { from, count, plant, isGate, isVerbose } = work;
  const verbose = isVerbose ? (line: string) => console.log(line) : () => {};
  for (let seed = from; seed < from + count; seed++) {
    const outcome = await simulate(seed, { plant, verbose });
    process.send!(outcome);
    if (isGate && outcome.violations.length > 0) break;
  }
  process.send!('done');
});
