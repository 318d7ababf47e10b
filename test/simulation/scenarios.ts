import { SERVICE_PEER } from './chance.ts';
import { get } from './get.ts';
import type { Block } from './history.ts';
import { acquireFill, flush, remove } from './others.ts';
import { put } from './put.ts';
import type { StoreHost } from './store-host.ts';
import type { World } from './world.ts';

/** Courses of events that chance alone brings about too seldom. Each runs beside everything else. */
export interface Stage {
  readonly world: World;
  readonly random: () => number;
  readonly pick: <T>(from: readonly T[]) => T;
  readonly pause: (ms: number) => Promise<void>;
}

/** A commit is on its way for longer than its node's lease lives: it arrives under an epoch that is over. */
export async function straggledCommit({ world, random, pick, pause }: Stage): Promise<void> {
  const host = pick(world.stores);
  const { life } = host;
  if (life === undefined) return;
  const { network, history } = world;
  const before = { ...network.faults };
  world.disturbedAtMs = Number.POSITIVE_INFINITY;
  void put(world, life, [pick(history.blocks)], 'shared', 2_000);
  await pause(0.5 + 5 * random());
  Object.assign(network.faults, { straggle: 1, straggleMs: 40_000 });
  await pause(0.5 + 5 * random());
  Object.assign(network.faults, { straggle: before.straggle, straggleMs: before.straggleMs });
  if (random() < 0.5) host.kill();
  else world.cut(host.name, SERVICE_PEER);
  await pause(14_000 + 5_000 * random());
  world.heal();
  host.start();
}

/** A node dies while a client of it computes a block: another takes the lease over. */
export async function orphanedFill({ world, random, pick, pause }: Stage): Promise<void> {
  const [one, other] = twoHosts(world, pick);
  const block = pick(world.history.blocks);
  if (one.life === undefined || other.life === undefined) return;
  await acquireFill(world, one.life, block, 40_000 + 60_000 * random());
  one.kill({ power: random() < 0.5 });
  await pause(14_000 + 3_000 * random());
  if (other.life !== undefined) await acquireFill(world, other.life, block, 5_000);
  one.start();
}

/** A segment loses its last block while another node reads slowly out of it. */
export async function slowReader({ world, random, pick, pause }: Stage): Promise<void> {
  const [writer, reader] = twoHosts(world, pick);
  const blocks = inOneNamespace(world, pick(world.history.blocks));
  if (!world.plan.deletes || writer.life === undefined || reader.life === undefined) return;
  await put(world, writer.life, blocks, 'shared', 3_000);
  writer.restart();
  reader.kill();
  reader.start();
  await pause(2_500);
  const [{ life: by }, { life }] = [writer, reader];
  if (by === undefined || life === undefined) return;
  life.io.slowMs = 5_000 + 4_000 * random();
  for (const block of blocks) void get(world, life, [block], 12_000);
  await pause(100 * random());
  life.io.slowMs = 0;
  await remove(world, by, blocks, 4_000);
  await pause(8_000);
}

/** What one node has just stored another reads at once, where its bytes, size and name may show late. */
export async function readAtOnce({ world, random, pick }: Stage): Promise<void> {
  const [writer, reader] = twoHosts(world, pick);
  if (writer.life === undefined) return;
  const blocks = inOneNamespace(world, pick(world.history.blocks)).slice(0, 1 + Math.floor(3 * random()));
  await put(world, writer.life, blocks, 'shared', 3_000);
  if (reader.life !== undefined) await get(world, reader.life, blocks, 3_000);
}

/** A host loses power right after what it has stored was acknowledged. */
export async function powerCut({ world, random, pick, pause }: Stage): Promise<void> {
  const host = pick(world.stores);
  if (host.life === undefined) return;
  const blocks = inOneNamespace(world, pick(world.history.blocks)).slice(0, 1 + Math.floor(3 * random()));
  const durability = random() < 0.7 ? 'shared' : 'memory';
  const putting = put(world, host.life, blocks, durability, 3_000);
  if (random() < 0.5) await pause(12 * random());
  else {
    await putting;
    if (durability === 'memory' && host.life !== undefined) await flush(world, host.life, 3_000);
  }
  host.kill({ power: true });
  await pause(200 + 3_000 * random());
  host.start();
}

/** A node stands still while others go on, for longer or shorter than its lease lives. */
export async function standstill({ world, random, pick, pause }: Stage): Promise<void> {
  const host = pick(world.stores);
  if (host.life === undefined) return;
  if (random() < 0.7) void put(world, host.life, [pick(world.history.blocks)], 'shared', 4_000);
  await pause(6 * random());
  host.pause();
  await pause(random() < 0.5 ? 1_000 * random() : 15_000 * random());
  host.resume();
}

function twoHosts(world: World, pick: Stage['pick']): [StoreHost, StoreHost] {
  const one = pick(world.stores);
  return [one, pick(world.stores.filter((host) => host !== one))];
}

function inOneNamespace(world: World, { namespace }: Block): Block[] {
  return world.history.blocks.filter((block) => block.namespace === namespace);
}
