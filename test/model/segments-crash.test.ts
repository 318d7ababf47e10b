import { MemoryEngine } from '@refill/metadata';
import { rebuildDirectory, recoverSegments } from '@refill/store';
import t, { type Test } from 'tap';
import { BlockModel, runHistory } from '../fixtures/block-model.ts';
import { DirectoryWorld } from '../fixtures/directory-world.ts';
import { mulberry, seededRandom } from '../fixtures/seeded-random.ts';
import type { SimOp } from '../fixtures/sim-io.ts';
import { TierWorld } from '../fixtures/tier-world.ts';

/** Histories by flag; each is crashed at every write and sync. */
const HISTORIES = Number(process.env.REFILL_CRASH_HISTORIES ?? 1);
const PAYLOAD_BYTES = 2 ** 21;

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Runs the history of a seed up to its `crashAt`-th write or sync; undefined when it ended before. */
async function crashedWorld(
  seed: number,
  crashAt: number,
  when: 'before' | 'after',
): Promise<{ world: TierWorld; model: BlockModel } | undefined> {
  const random = mulberry(seed);
  const world = new TierWorld({ random: mulberry(seed + 1), payloadBytes: PAYLOAD_BYTES });
  const model = new BlockModel();
  let point = 0;
  await world.boot({
    fault: (op: SimOp) => {
      if (op.kind !== 'write' && op.kind !== 'sync' && op.kind !== 'create') return undefined;
      return point++ === crashAt ? { crash: when } : undefined;
    },
  });
  const crash = new Promise<boolean>((resolve) => {
    world.io.onCrash = () => resolve(true);
  });
  await world.open({ batchBytes: 60_000, patienceMs: 1 });
  const ended = runHistory(world, model, random)
    .then(() => world.close())
    .then(() => false);
  if (!(await Promise.race([crash, ended]))) return undefined;
  await turns(5);
  world.disk.crash(mulberry(seed + crashAt));
  return { world, model };
}

/** Comes back over the same disk: with the directory as it was, or with none. */
async function comeBack(
  t: Test,
  crashed: { world: TierWorld; model: BlockModel },
  by: 'recovery' | 'rebuild',
  name: string,
): Promise<boolean> {
  const world = new TierWorld({
    disk: crashed.world.disk,
    world: by === 'recovery' ? crashed.world.world : new DirectoryWorld(new MemoryEngine()),
    random: crashed.world.random,
    payloadBytes: PAYLOAD_BYTES,
  });
  await world.boot();
  const parts = { io: world.io, directory: world.directory, scratch: world.scratch, clock: world.clock };
  if (by === 'rebuild') {
    await rebuildDirectory(parts);
    world.epoch = await world.directory.acquireEpoch('node-a');
  } else {
    await recoverSegments(parts, { node: 'node-a', epoch: world.epoch });
  }
  await world.open();
  const faults = await crashed.model.check(world);
  // It goes on working, in segments of its own.
  await crashed.model.put(world, [1000, 1001], () => 5000, false);
  faults.push(...(await crashed.model.check(world)));
  await world.close();
  if (world.io.openHandles !== 0) faults.push('a file is still open');
  if (world.scratch.taken !== 0) faults.push('scratch memory is not given back');
  if (world.directory.segments().some((segment) => segment.state === 'open')) {
    faults.push('a segment is still open');
  }
  if (faults.length > 0) t.fail(name, { faults });
  return faults.length === 0;
}

for (const by of ['recovery', 'rebuild'] as const) {
  t.test(`what was acknowledged survives a crash at every write and sync, by ${by}`, async (t) => {
    const random = seededRandom(t);
    let crashes = 0;
    for (let history = 0; history < HISTORIES; history++) {
      const seed = Math.floor(random() * 2 ** 31);
      for (let crashAt = 0; ; crashAt++) {
        const when = crashAt % 2 === history % 2 ? 'before' : 'after';
        const crashed = await crashedWorld(seed, crashAt, when);
        if (crashed === undefined) break;
        crashes++;
        const held = await comeBack(t, crashed, by, `history ${seed}, ${when} write or sync ${crashAt}`);
        if (!held) return;
      }
    }
    t.comment(`${crashes} crashes`);
    t.ok(crashes > 20);
  });
}
