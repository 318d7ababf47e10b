import {
  PUT_ROW,
  PUT_ROW_WORDS,
  PUT_STATUS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
} from '@refill/interface';
import type { Block, PutOutcome, Version } from './history.ts';
import { hears, indexOf, perform } from './operation.ts';
import type { NodeLife } from './store-host.ts';
import type { World } from './world.ts';

/** What `reserve` may take beside the deadline of `commit`: its lookup, and its wait for room. */
const RESERVE_LIMIT_MS = 12_000;
const OUTCOMES: Readonly<Record<number, PutOutcome>> = {
  [PUT_STATUS.stored]: 'stored',
  [PUT_STATUS.exists]: 'exists',
  [PUT_STATUS.noRoom]: 'noRoom',
  [PUT_STATUS.failed]: 'failed',
  [PUT_STATUS.late]: 'late',
};

/** Puts blocks through the arena. `aborts`: writes half of each and gives it up. */
export async function put(
  world: World,
  life: NodeLife,
  blocks: readonly Block[],
  durability: 'memory' | 'shared',
  deadlineMs: number,
  aborts = false,
): Promise<void> {
  const index = await indexOf(world, life, blocks[0]!.namespace);
  if (index === undefined || !hears(life)) return;
  const { history } = world;
  const versions = blocks.map((block) => history.begin(block, life, durability));
  const open = new Set(versions);
  const end = (version: Version, outcome: PutOutcome): void => {
    open.delete(version);
    history.end(version, outcome);
  };
  const name = `put ${durability} ${versions.map(({ block, serial }) => `${block.key}=${serial}`).join()}`;
  await perform(world, life, name, RESERVE_LIMIT_MS + deadlineMs, async () => {
    const rows = new Uint32Array(blocks.length * RESERVE_ROW_WORDS);
    await life.session.reserve(index, putRows(versions), blocks.length, rows);
    const reserved: Version[] = [];
    const slots: number[] = [];
    for (const [i, version] of versions.entries()) {
      const at = i * RESERVE_ROW_WORDS;
      const status = rows[at + RESERVE_ROW.status]!;
      if (status !== RESERVE_STATUS.reserved) {
        end(version, status === RESERVE_STATUS.exists ? 'refused' : 'noRoom');
        continue;
      }
      const offset = rows[at + RESERVE_ROW.offsetBytes]!;
      const { bytes } = version;
      life.io.panes[0]!.set(aborts ? bytes.subarray(0, bytes.length >> 1) : bytes, offset);
      reserved.push(version);
      slots.push(rows[at + RESERVE_ROW.slot]!);
    }
    if (slots.length === 0) return 'nothing reserved';
    if (aborts) {
      life.session.abort(Uint32Array.from(slots), slots.length);
      for (const version of reserved) end(version, 'aborted');
      return 'aborted';
    }
    for (const version of reserved) version.committedMs = world.timeline.nowMs();
    const statuses = new Uint32Array(slots.length);
    await life.session.commit(Uint32Array.from(slots), slots.length, durability, deadlineMs, statuses);
    if (!hears(life)) return '';
    for (const [i, version] of reserved.entries()) end(version, OUTCOMES[statuses[i]!]!);
    return reserved.map(({ serial, outcome }) => `${serial} ${outcome}`).join();
  });
  if (hears(life)) for (const version of open) end(version, 'error');
}

/** Rows of puts; each key is the child of the one before it in its namespace. */
export function putRows(versions: readonly Version[]): Uint32Array {
  const rows = new Uint32Array(versions.length * PUT_ROW_WORDS);
  for (const [i, { block, bytes }] of versions.entries()) {
    const at = i * PUT_ROW_WORDS;
    rows.set(block.words, at + PUT_ROW.key);
    rows[at + PUT_ROW.lengthBytes] = bytes.length;
    rows[at + PUT_ROW.tokens] = 16;
  }
  return rows;
}

/** Puts one block from a region of the client, without a copy where the place allows it. */
export async function putFrom(
  world: World,
  life: NodeLife,
  block: Block,
  durability: 'memory' | 'shared',
  deadlineMs: number,
): Promise<void> {
  const index = await indexOf(world, life, block.namespace);
  const place = index === undefined ? undefined : await life.host.takePlace(life);
  if (index === undefined || place === undefined || !hears(life)) return;
  const version = world.history.begin(block, life, durability);
  place.bytes.set(version.bytes);
  const rows = Uint32Array.of(place.offset, 0, place.bytes.length);
  const statuses = new Uint32Array(1);
  // What is written straight from the region is awaited past the deadline, with both tries: making a segment and
  // committing wait for the service, what is in between for the disk.
  const limitMs = RESERVE_LIMIT_MS + deadlineMs + 2 * (60_000 + 5 * world.plan.writeDeadlineMs);
  version.committedMs = version.startMs;
  const name = `putFrom ${durability} ${block.key}=${version.serial}`;
  const outcome = await perform(world, life, name, limitMs, async () => {
    const puts = putRows([version]);
    await life.session.putFrom(index, place.region, puts, rows, 1, durability, deadlineMs, statuses);
    return OUTCOMES[statuses[0]!]!;
  });
  if (hears(life)) world.history.end(version, outcome ?? 'error');
}
