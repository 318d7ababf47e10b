import { SERVICE_PEER } from './chance.ts';
import { get, getInto, matchPrefix } from './get.ts';
import type { Block } from './history.ts';
import { acquireFill, awaitFill, flush, lateTicket, remove } from './others.ts';
import { put, putFrom } from './put.ts';
import {
  orphanedFill,
  powerCut,
  readAtOnce,
  type Stage,
  slowReader,
  standstill,
  straggledCommit,
} from './scenarios.ts';
import type { World } from './world.ts';

type Action = (stage: Stage) => unknown;

/** What one step does, by weight. `Stage` draws from the stream of the steps alone. */
const ACTIONS: readonly (readonly [weight: number, action: Action])[] = [
  [10, (stage) => onSome(stage, (life, blocks) => put(stage.world, life, blocks, 'shared', deadline(stage)))],
  [10, (stage) => onSome(stage, (life, blocks) => put(stage.world, life, blocks, 'memory', deadline(stage)))],
  [1, (stage) => onSome(stage, (life, blocks) => put(stage.world, life, blocks, 'shared', 1_000, true))],
  [
    3,
    (stage) =>
      onSome(stage, (life, [block]) => putFrom(stage.world, life, block!, 'shared', deadline(stage))),
  ],
  [
    1,
    (stage) =>
      onSome(stage, (life, [block]) => putFrom(stage.world, life, block!, 'memory', deadline(stage))),
  ],
  [
    20,
    (stage) => onSome(stage, (life, blocks) => get(stage.world, life, blocks, deadline(stage), hold(stage))),
  ],
  [3, (stage) => onSome(stage, (life, [block]) => getInto(stage.world, life, block!, deadline(stage)))],
  [3, (stage) => onSome(stage, (life, blocks) => matchPrefix(stage.world, life, blocks))],
  [6, (stage) => onSome(stage, (life, blocks) => removeSome(stage, life, blocks))],
  [3, (stage) => onSome(stage, (life) => flush(stage.world, life, deadline(stage)))],
  [3, (stage) => onSome(stage, (life, [block]) => fill(stage, life, block!))],
  [1, (stage) => onSome(stage, (life, [block]) => awaitFill(stage.world, life, block!, deadline(stage)))],
  [2, (stage) => onSome(stage, (life, [block]) => late(stage, life, block!))],
  [2, ({ world, pick }) => pick(world.stores).restart()],
  [2, killStore],
  [1, hangMount],
  [1, partition],
  [1, restartService],
  [1, pauseService],
  [1, loseDatabase],
  [1, straggledCommit],
  [1, orphanedFill],
  [1, slowReader],
  [4, readAtOnce],
  [3, powerCut],
  [2, standstill],
];
const WEIGHTS = ACTIONS.reduce((sum, [weight]) => sum + weight, 0);

/** Begins one step; what it begins goes on beside the next ones. */
export function act(stage: Stage): void {
  let at = stage.random() * WEIGHTS;
  for (const [weight, action] of ACTIONS) {
    at -= weight;
    if (at >= 0) continue;
    // Whatever it throws is a fault of the simulation itself.
    Promise.resolve(action(stage)).catch((error: Error) => stage.world.report(`simulation: ${error.stack}`));
    return;
  }
}

type Life = NonNullable<World['stores'][number]['life']>;

/** On a node that is there, with some keys of one namespace. */
function onSome(
  { world, random, pick }: Stage,
  action: (life: Life, blocks: Block[]) => Promise<unknown>,
): Promise<unknown> | undefined {
  const { life } = pick(world.stores);
  const { namespaces, keys } = world.plan;
  const namespace = Math.floor(random() * namespaces);
  const first = Math.floor(random() * keys);
  const count = random() < 0.5 ? 1 : 1 + Math.floor(random() * (keys - first));
  if (life?.process.state !== 'running') return undefined;
  const blocks = Array.from({ length: count }, (_, i) => world.history.block(namespace, first + i));
  return action(life, blocks);
}

function deadline({ random }: Stage): number {
  return random() < 0.2 ? 50 * random() : 200 + 3_000 * random();
}

function hold({ random }: Stage): number {
  return random() < 0.5 ? 0 : 500 * random();
}

async function removeSome(stage: Stage, life: Life, blocks: Block[]): Promise<void> {
  if (stage.world.plan.deletes) await remove(stage.world, life, blocks, deadline(stage));
}

async function fill({ world, random, pause }: Stage, life: Life, block: Block): Promise<void> {
  const session = await acquireFill(world, life, block, 1_000 + 30_000 * random());
  await pause(3_000 * random());
  if (life.process.state === 'running' && life.endedMs > world.timeline.nowMs()) session?.close();
}

async function late({ world, pick }: Stage, life: Life, block: Block): Promise<void> {
  const others = world.stores.filter((host) => host !== life.host);
  await lateTicket(world, life, pick(others), block);
}

async function killStore({ world, random, pick, pause }: Stage): Promise<void> {
  const host = pick(world.stores);
  host.kill({ power: random() < 0.4 });
  await pause(random() < 0.7 ? 500 * random() : 15_000 * random());
  host.start();
}

async function hangMount({ world, random, pick, pause }: Stage): Promise<void> {
  if (world.plan.isCalm) return;
  const host = pick(world.stores);
  host.setHung(true);
  await pause(8_000 * random());
  host.setHung(false);
}

async function partition({ world, random, pick, pause }: Stage): Promise<void> {
  const peers = [SERVICE_PEER, ...world.stores.map(({ name }) => name)];
  const one = pick(peers);
  world.cut(one, pick(peers.filter((peer) => peer !== one)));
  await pause(random() < 0.5 ? 3_000 * random() : 15_000 * random());
  world.heal();
}

async function restartService({ world, random, pause }: Stage): Promise<void> {
  const { metadata, plan } = world;
  if (random() < 0.3) {
    metadata.stop();
    await pause(2_000);
  } else metadata.kill({ power: plan.cutsPower && random() < 0.6 });
  await pause(random() < 0.6 ? 500 * random() : 12_000 * random());
  metadata.start();
}

async function pauseService({ world, random, pause }: Stage): Promise<void> {
  world.metadata.pause();
  await pause(random() < 0.7 ? 3_000 * random() : 20_000 * random());
  world.metadata.resume();
}

async function loseDatabase({ world, random, pause }: Stage): Promise<void> {
  const { metadata, plan } = world;
  if (!plan.losesDatabase) return;
  // With two namespaces a node that is told other indexes for them refuses them until it is restarted (K6).
  metadata.lose({ copyToo: plan.namespaces === 1 && random() < 0.7 });
  await pause(1_000 * random());
  metadata.start();
}
