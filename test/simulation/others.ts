import {
  FILL_ROW,
  FILL_ROW_WORDS,
  FILL_STATUS,
  type NodeSession,
  RECEIVE_ROW,
  RECEIVE_ROW_WORDS,
  RECEIVE_STATUS,
} from '@refill/interface';
import { PEER_PROTOCOL } from '@refill/store';
import {
  decodeGrant,
  encodeAsk,
  GRANT_ROW,
  GRANT_STATUS,
} from '../../packages/store/src/peer/peer-messages.ts';
import { type Block, type Deletion, nameOf } from './history.ts';
import { hears, indexOf, keysOf, perform } from './operation.ts';
import type { NodeLife, StoreHost } from './store-host.ts';
import type { World } from './world.ts';

/** Deletes blocks. */
export async function remove(
  world: World,
  life: NodeLife,
  blocks: readonly Block[],
  deadlineMs: number,
): Promise<void> {
  const index = await indexOf(world, life, blocks[0]!.namespace);
  if (index === undefined || !hears(life)) return;
  const startMs = world.timeline.nowMs();
  const deletions = blocks.map((block): Deletion => {
    const deletion = { life, startMs, endMs: Number.POSITIVE_INFINITY, isDone: false };
    block.deletions.push(deletion);
    return deletion;
  });
  const name = `delete ${blocks.map(({ key }) => key).join()}`;
  const done = await perform(world, life, name, deadlineMs, () =>
    life.session.delete(index, keysOf(blocks), blocks.length, deadlineMs),
  );
  if (done === undefined || !hears(life)) return;
  for (const deletion of deletions) {
    deletion.endMs = world.timeline.nowMs();
    deletion.isDone = true;
  }
}

/** Answers whether anything that this life had to store is only in its memory, or may be. */
export async function flush(world: World, life: NodeLife, deadlineMs: number): Promise<boolean> {
  const startMs = world.timeline.nowMs();
  const left = await perform(world, life, 'flush', deadlineMs, () => life.session.flush(deadlineMs));
  if (left !== undefined && hears(life)) world.history.flushed(life, startMs, left === 0);
  return left !== 0;
}

/** A fill lease that this life may hold. */
export interface HeldFill {
  readonly block: Block;
  readonly life: NodeLife;
  untilMs: number;
}

/** What of a lease's end takes time beside the life of its node's lease. */
const FILL_SLACK_MS = 3_000;
const LEASE_TTL_MS = 10_000;

/**
 * Takes the fill lease of a block in a session of its own, which is answered when it was granted. Whoever is told to
 * hold it instead must be there.
 */
export async function acquireFill(
  world: World,
  life: NodeLife,
  block: Block,
  lifeMs: number,
): Promise<NodeSession | undefined> {
  if (!hears(life) || life.endedMs <= world.timeline.nowMs()) return undefined;
  const session = life.node.openSession();
  const index = await indexOf(world, { ...life, session }, block.namespace);
  if (index === undefined || !hears(life)) return undefined;
  const startMs = world.timeline.nowMs();
  const rows = new Uint32Array(FILL_ROW_WORDS);
  // Also when no answer comes: the service may have granted it.
  const held: HeldFill = { block, life, untilMs: startMs + lifeMs + FILL_SLACK_MS };
  world.fills.add(held);
  const fill = await perform(world, life, `acquireFill ${block.key}`, 10_000, () =>
    session.acquireFill(index, block.words, 1, lifeMs, 2_000, rows),
  );
  if (fill === undefined || !hears(life)) return undefined;
  const status = rows[FILL_ROW.status];
  world.trace.note(`fill of ${block.key}: ${status}`);
  if (status === FILL_STATUS.granted) return session;
  world.fills.delete(held);
  const mayHold = (one: HeldFill): boolean =>
    one.block === block &&
    one.untilMs >= startMs &&
    one.life.goneMs + LEASE_TTL_MS + FILL_SLACK_MS >= startMs;
  if (status === FILL_STATUS.held && world.plan.isCalm && ![...world.fills].some(mayHold))
    world.report(`${nameOf(block)} is leased to nobody who is there, for ${rows[FILL_ROW.remainingMs]} ms`);
  session.close();
  return undefined;
}

export async function awaitFill(
  world: World,
  life: NodeLife,
  block: Block,
  deadlineMs: number,
): Promise<void> {
  const index = await indexOf(world, life, block.namespace);
  if (index === undefined || !hears(life)) return;
  await perform(world, life, `awaitFill ${block.key}`, deadlineMs + 8_000, () =>
    life.session.awaitFill(index, block.words, 1, deadlineMs),
  );
}

/** Asks a peer for a ticket and comes with it when its life is over. */
export async function lateTicket(world: World, life: NodeLife, from: StoreHost, block: Block): Promise<void> {
  const index = await indexOf(world, life, block.namespace);
  const place = index === undefined ? undefined : await life.host.takePlace(life);
  const namespaceId = index === undefined ? undefined : life.remote.directory.namespace(index)?.id;
  if (place === undefined || namespaceId === undefined || !hears(life)) return;
  const body = encodeAsk({ namespaceId, keys: block.words, count: 1 });
  const address = { peer: from.name, addresses: [] };
  const answer = await life.process
    .hold(life.control.request(address, PEER_PROTOCOL, body, { deadlineMs: 1_000 }))
    .catch(() => undefined);
  if (answer === undefined || !hears(life)) return;
  const grant = decodeGrant(answer, 1);
  if (grant.rows[GRANT_ROW.status] !== GRANT_STATUS.offered) return;
  await life.process.sleep(grant.lifeMs + 300);
  const rows = new Uint32Array(RECEIVE_ROW_WORDS);
  rows.set(new Uint32Array(namespaceId.slice().buffer), RECEIVE_ROW.namespaceId);
  rows.set(block.words, RECEIVE_ROW.key);
  rows[RECEIVE_ROW.lengthBytes] = grant.rows[GRANT_ROW.lengthBytes]!;
  rows[RECEIVE_ROW.buffer] = place.buffer;
  rows[RECEIVE_ROW.bufferOffsetLo] = place.offset;
  await life.transport.receive(grant.address, grant.ticket, rows, 1, 1_000).catch(() => undefined);
  world.trace.note(`late ticket: ${rows[RECEIVE_ROW.status]}`);
  if (rows[RECEIVE_ROW.status] === RECEIVE_STATUS.done)
    world.report(`a ticket of ${from.name} was honoured after its life of ${grant.lifeMs} ms`);
}
