import { checkStep } from './check-directory.ts';
import { KNOWN_GAPS } from './faults.ts';
import { get } from './get.ts';
import { type Block, mayBeDeleted, nameOf } from './history.ts';
import { flush } from './others.ts';
import type { World } from './world.ts';

/** What is under way has ended by then: the longest operation, a lease, a heartbeat. */
const SETTLE_MS = 20_000;
const SETTLE_TRIES = 16;

/**
 * Everything that went wrong heals; then what was promised must hold on every node, also on new ones, and also once
 * the database was lost and made anew from the segments.
 */
export async function finish(world: World): Promise<void> {
  world.isEnding = true;
  await heal(world);
  if (isBroken(world)) return;
  await flushAll(world);
  await readAll(world, 'after all has healed');
  if (isBroken(world)) return;
  for (const host of world.stores) host.kill({ power: true });
  if (world.plan.rebuildsAtEnd) world.metadata.lose({ copyToo: world.seed % 2 === 0 });
  else world.metadata.kill({ power: world.plan.cutsPower });
  world.metadata.start();
  await world.timeline.run(1_000);
  await heal(world);
  if (isBroken(world)) return;
  await world.timeline.run(5_100);
  await readAll(world, world.plan.rebuildsAtEnd ? 'after a rebuild' : 'after a restart');
  await checkPins(world);
}

/**
 * Everything is stored that can be. What failed at last, after the faults, is tried once more: until then it may be read on
 * its node beside what another one stored.
 */
async function flushAll(world: World): Promise<void> {
  let left = lives(world);
  for (let tries = 0; tries < 2 && left.length > 0; tries++) {
    const outcomes = await drained(
      world,
      left.map(async (life) => ((await flush(world, life, 60_000)) ? life : undefined)),
    );
    left = outcomes?.filter((life) => life !== undefined) ?? [];
  }
}

/** Lets the world settle with nothing more going wrong: every host serves, every operation has ended. */
async function heal(world: World): Promise<void> {
  const { metadata, stores, timeline } = world;
  for (let tries = 0; tries < SETTLE_TRIES; tries++) {
    world.calm();
    metadata.resume();
    metadata.start();
    for (const host of stores) {
      host.resume();
      host.setHung(false);
      if (host.life !== undefined) host.life.io.slowMs = 0;
      host.start();
    }
    await timeline.run(tries === 0 ? 3_000 : SETTLE_MS);
    checkStep(world);
    if (isBroken(world)) return;
    const isUp = metadata.isServing && stores.every(({ life }) => life?.remote.cluster.lease.isHeld);
    if (isUp && world.pending.size === 0) return;
  }
  for (const { name, life } of world.pending)
    world.report(`G5: ${name} on ${life.process.name} has not ended`);
  if (!metadata.isServing) world.report('G5: the metadata service does not come back');
  for (const { name, life } of stores)
    if (!life?.remote.cluster.lease.isHeld) world.report(`G5: ${name} does not come back`);
}

/** Nothing stays pinned when every client has let go and every ticket has ended. */
async function checkPins(world: World): Promise<void> {
  await world.timeline.run(world.plan.ticketMs + 1_000);
  for (const { node, process } of lives(world)) {
    const { pinnedBytes } = node.status().arena;
    if (pinnedBytes > 0) world.report(`${process.name} has ${pinnedBytes} bytes pinned for nobody`);
  }
}

async function readAll(world: World, when: string): Promise<void> {
  const all = lives(world);
  const { namespaces } = world.plan;
  const found = new Map<Block, Set<number | undefined>>();
  const reads = all.flatMap((life) =>
    Array.from({ length: namespaces }, async (_, namespace) => {
      const blocks = world.history.blocks.filter((block) => block.namespace === namespace);
      const serials = await get(world, life, blocks, 10_000);
      for (const [i, block] of blocks.entries()) {
        const set = found.get(block) ?? new Set();
        found.set(block, set.add(serials[i]));
        const promised = block.acks.some(({ startMs }) => !mayBeDeleted(block, startMs));
        if (!promised || serials[i] !== undefined) continue;
        // It may have boarded a read that began while the file system hung, or an answer was lost before all healed.
        await life.process.sleep(3_000);
        const [serial] = await get(world, life, [block], 10_000);
        if (serial === undefined)
          world.report(`G2: ${nameOf(block)} was promised as shared, ${life.process.name} misses it ${when}`);
      }
    }),
  );
  await drained(world, reads);
  checkStep(world);
  if (world.history.wasRebuilt && KNOWN_GAPS.rebuildReorders) return;
  for (const [block, serials] of found) {
    const known = [...serials].filter((serial) => serial !== undefined);
    if (known.length > 1 && block.deletions.length === 0)
      world.report(`G3: ${nameOf(block)} is version ${known.join(' and ')} ${when}`);
  }
}

/** Runs the world until these are done, and answers them. */
async function drained<T>(world: World, work: Promise<T>[]): Promise<T[] | undefined> {
  let isDone = false;
  const all = Promise.all(work).finally(() => {
    isDone = true;
  });
  for (let tries = 0; tries < 100 && !isDone; tries++) await world.timeline.run(tries < 10 ? 50 : 1_000);
  if (isDone) return await all;
  world.report('G5: the last reads do not end');
  return undefined;
}

type Life = NonNullable<World['stores'][number]['life']>;

function lives(world: World): Life[] {
  return world.stores.flatMap(({ life }) => life ?? []);
}

function isBroken(world: World): boolean {
  return world.violations.length > 0;
}
