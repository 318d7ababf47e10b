import { performance } from 'node:perf_hooks';
import { HUGE_PAGE_BYTES } from '@refill/interface';
import { compared } from './compare.ts';
import { inTurn, median, type Sample } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { sharedMemory } from './sdk.ts';
import { ServedNode } from './served-node.ts';
import { GIB, MIB } from './units.ts';

const LARGE_BYTES = GIB;
const SMALL_BYTES = 64 * MIB;
/** A single attach takes about a millisecond: the median of many is what is compared. */
const ATTACHES = 31;
const GIBIBYTES: number = (LARGE_BYTES - SMALL_BYTES) / GIB;

/** Start of a node and attach of a client, a GiB of arena, against the bare system calls. */
export const arena: Scenario = {
  name: 'arena',
  title: 'Arena start and client attach',
  async run(context: BenchContext): Promise<Result[]> {
    const attach: Record<'ours' | 'theirs', Sample[]> = { ours: [], theirs: [] };
    const start = await inTurn(context.rounds, {
      async theirs(): Promise<Sample> {
        const bare = await context.native('arena_baseline', { bytes: LARGE_BYTES, attaches: ATTACHES });
        const pages = String(bare.pages);
        attach.theirs.push({ value: Number(bare.attachSecondsPerGibibyte), pages });
        return { value: Number(bare.startSecondsPerGibibyte), pages };
      },
      // The difference of a large and a small arena: what else a start costs falls out.
      async ours(): Promise<Sample> {
        const small = await startAndAttach(context, SMALL_BYTES);
        const large = await startAndAttach(context, LARGE_BYTES);
        attach.ours.push({ value: large.mapMs / 1000 / (LARGE_BYTES / GIB) });
        return { value: (large.startMs - small.startMs) / 1000 / GIBIBYTES };
      },
    });
    const row = { unit: 's/GiB', target: '<= 1.5' };
    const note = 'difference of an arena of 1 GiB and one of 64 MiB';
    return [
      compared(
        { ...row, name: 'arena/start', against: 'bare mmap, touch and register', note },
        start.ours,
        start.theirs,
      ),
      compared(
        {
          ...row,
          name: 'arena/attach',
          against: 'bare mmap and touch by a second process',
          note: `median of ${ATTACHES} attaches of 1 GiB; ours gets the descriptor over a socket and maps twice`,
        },
        attach.ours,
        attach.theirs,
      ),
    ];
  },
};

async function startAndAttach(
  context: BenchContext,
  arenaBytes: number,
): Promise<{ startMs: number; mapMs: number }> {
  using scratch = new Scratch(context, 'arena');
  await using node = await ServedNode.start({
    scratch,
    arenaBytes,
    segmentBytes: context.segmentBytes,
  });
  const began = performance.now();
  const store = await node.connect();
  const attachMs = performance.now() - began;
  await store.close();
  // The first client's attach is part of `readyMs`, not of the node's start.
  return { startMs: node.readyMs - attachMs, mapMs: await mapped(`${node.socketPath}.fd`) };
}

/** Median milliseconds to get the arena from the node, map it and touch every huge page for reading. */
async function mapped(fdSocketPath: string): Promise<number> {
  const took: number[] = [];
  let touched = 0;
  for (let i = 0; i < ATTACHES; i++) {
    const began = performance.now();
    const arena = await sharedMemory.mapArena(fdSocketPath, { deadlineMs: 10_000 });
    for (const pane of arena.readPanes) {
      for (let byte = 0; byte < pane.length; byte += HUGE_PAGE_BYTES) touched += pane[byte]!;
    }
    took.push(performance.now() - began);
    arena.unmap();
  }
  if (touched < 0) throw new Error('bytes are not negative');
  return median(took);
}
