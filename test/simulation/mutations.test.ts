import t from 'tap';
import { PLANTED_BUGS } from '../../scripts/planted-bugs.mjs';
import { makeSimulation, plant, simulateSeeds } from '../../scripts/simulate.mjs';

const LANES = 2;
const SEEDS_MAX = 1000;

t.setTimeout(1_200_000);

t.test('every planted bug of the protocol is caught within 1,000 seeds', async (t) => {
  const waiting = [...PLANTED_BUGS];
  const lane = async (): Promise<void> => {
    const simulation = makeSimulation();
    try {
      for (let bug = waiting.shift(); bug !== undefined; bug = waiting.shift()) {
        const { name, edits = [], planted } = bug;
        const mend = plant(
          simulation,
          edits.map((edit) => ({ name, ...edit })),
        );
        const options = { from: 1, seeds: SEEDS_MAX, lanes: 1, planted, isGate: true };
        const { seeds, failures } = await simulateSeeds(simulation, options);
        mend();
        t.ok(failures.length > 0, `caught: ${name}, by seed ${seeds}: ${failures[0]?.violations[0]}`);
      }
    } finally {
      simulation.remove();
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  t.ok(PLANTED_BUGS.length >= 12);
});
