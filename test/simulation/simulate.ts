import './small-memory.ts';
import './synchronous-lz4.ts';
import { act } from './act.ts';
import { checkStep } from './check-directory.ts';
import { finish } from './finish.ts';
import { drawPlan, type Plan } from './plan.ts';
import type { Stage } from './scenarios.ts';
import { World } from './world.ts';

export interface Outcome {
  seed: number;
  /** Of everything that happened: the same for every run of a seed. */
  hash: string;
  violations: string[];
  /** Timers that fired, and milliseconds of virtual time. */
  fired: number;
  virtualMs: number;
}

/** Runs the world of a seed to its end, or to the first rule that is broken. */
export async function simulate(
  seed: number,
  {
    plant,
    verbose,
    plan = {},
  }: { plant?: string | undefined; verbose?: (line: string) => void; plan?: Partial<Plan> } = {},
): Promise<Outcome> {
  const world = new World({ ...drawPlan(seed, plant), ...plan }, verbose);
  const { timeline, violations } = world;
  const onRejection = (error: unknown): void =>
    world.report(`unhandled: ${error instanceof Error ? error.stack : String(error)}`);
  process.on('unhandledRejection', onRejection);
  try {
    await begin(world);
    const stage = stageOf(world);
    for (let step = 0; step < world.plan.steps && violations.length === 0; step++) {
      act(stage);
      await timeline.run(gapMs(stage.random));
      checkStep(world);
    }
    if (violations.length === 0) await finish(world);
  } finally {
    process.off('unhandledRejection', onRejection);
    world.end();
  }
  const { hash } = world.trace;
  return { seed, hash, violations, fired: timeline.fired, virtualMs: timeline.nowMs() };
}

/** The service, then the nodes. */
async function begin(world: World): Promise<void> {
  world.metadata.start();
  await world.timeline.run(50);
  for (const host of world.stores) host.start();
  await world.timeline.run(300);
}

function stageOf(world: World): Stage {
  const random = world.random('steps');
  return {
    world,
    random,
    pick: (from) => from[Math.floor(random() * from.length)]!,
    pause: (ms) =>
      new Promise((resolve) =>
        world.timeline.after(ms, () => {
          // What a scenario has left is undone when all heals.
          if (!world.isEnding) resolve();
        }),
      ),
  };
}

/** Most steps follow one another closely; some leave time for leases to end. */
function gapMs(random: () => number): number {
  const luck = random();
  if (luck < 0.5) return 5 * random();
  return luck < 0.9 ? 400 * random() : 6_000 * random();
}
