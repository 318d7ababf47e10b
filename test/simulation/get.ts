import { READ_ROW, READ_ROW_WORDS, ROW_STATUS } from '@refill/interface';
import { checkRead } from './check-read.ts';
import { type Block, nameOf } from './history.ts';
import { hears, indexOf, keysOf, perform } from './operation.ts';
import type { NodeLife } from './store-host.ts';
import type { World } from './world.ts';

/** Reads blocks into the arena, looks at them again after `holdMs`, and lets them go. Versions by block, for the end. */
export async function get(
  world: World,
  life: NodeLife,
  blocks: readonly Block[],
  deadlineMs: number,
  holdMs = 0,
): Promise<(number | undefined)[]> {
  const found: (number | undefined)[] = blocks.map(() => undefined);
  const index = await indexOf(world, life, blocks[0]!.namespace);
  if (index === undefined || !hears(life)) return found;
  const rows = new Uint32Array(blocks.length * READ_ROW_WORDS);
  const startMs = world.timeline.nowMs();
  const pinned: { block: Block; bytes: Uint8Array; before: Uint8Array; slot: number }[] = [];
  const name = `get ${blocks.map(({ key }) => key).join()}`;
  await perform(world, life, name, deadlineMs, async () => {
    await life.session.get(index, keysOf(blocks), blocks.length, deadlineMs, rows);
    if (!hears(life)) return '';
    for (const [i, block] of blocks.entries()) {
      const at = i * READ_ROW_WORDS;
      if (rows[at + READ_ROW.status] !== ROW_STATUS.hit) continue;
      const offset = rows[at + READ_ROW.offsetBytes]!;
      const bytes = life.io.panes[0]!.subarray(offset, offset + rows[at + READ_ROW.lengthBytes]!);
      found[i] = checkRead(world, life, block, bytes, startMs)?.serial;
      pinned.push({
        block,
        bytes,
        before: holdMs > 0 ? bytes.slice() : bytes,
        slot: rows[at + READ_ROW.slot]!,
      });
    }
    return blocks.map((_, i) => found[i] ?? `-${rows[i * READ_ROW_WORDS + READ_ROW.status]}`).join();
  });
  if (pinned.length === 0) return found;
  if (holdMs > 0) await life.process.sleep(holdMs);
  if (!hears(life) || life.endedMs <= world.timeline.nowMs()) return found;
  for (const { block, bytes, before } of pinned) {
    if (Buffer.compare(bytes, before) !== 0) world.report(`G1: ${nameOf(block)} changed while it was pinned`);
  }
  life.session.release(
    Uint32Array.from(pinned, ({ slot }) => slot),
    pinned.length,
  );
  return found;
}

/** Reads one block straight into a region. */
export async function getInto(world: World, life: NodeLife, block: Block, deadlineMs: number): Promise<void> {
  const index = await indexOf(world, life, block.namespace);
  const place = index === undefined ? undefined : await life.host.takePlace(life);
  if (index === undefined || place === undefined || !hears(life)) return;
  const rows = new Uint32Array(READ_ROW_WORDS);
  const places = Uint32Array.of(place.offset, 0, place.bytes.length);
  const startMs = world.timeline.nowMs();
  // A read straight into the region holds it: it is awaited until the engine gives it up.
  await perform(world, life, `getInto ${block.key}`, deadlineMs + 10_000, async () => {
    await life.session.getInto(index, place.region, block.words, places, 1, deadlineMs, rows);
    if (!hears(life) || rows[READ_ROW.status] !== ROW_STATUS.hit) return `-${rows[READ_ROW.status]}`;
    const bytes = place.bytes.subarray(0, rows[READ_ROW.lengthBytes]!);
    return checkRead(world, life, block, bytes, startMs)?.serial;
  });
}

export async function matchPrefix(world: World, life: NodeLife, blocks: readonly Block[]): Promise<void> {
  const index = await indexOf(world, life, blocks[0]!.namespace);
  if (index === undefined || !hears(life)) return;
  await perform(world, life, 'matchPrefix', 12_000, async () => {
    const length = await life.session.matchPrefix(index, keysOf(blocks), blocks.length);
    if (!hears(life)) return length;
    const isRight = blocks.slice(0, length).every(({ versions }) => versions.length > 0);
    if (!isRight) world.report(`G1: a prefix of ${length} blocks, of which some were never put`);
    return length;
  });
}
