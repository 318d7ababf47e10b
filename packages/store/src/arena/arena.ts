import { type BlockIO, invariant, SLOT_UNIT_BYTES } from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
import { OWNER_NONE, SlotAllocator } from './slot-allocator.ts';

/** The node's shared memory and who holds which slot of it. Read `docs/internals/arena.md` for the rules. */
export interface Arena {
  /** Made of the engine's panes at first use: the engine must have been started. */
  readonly allocator: SlotAllocator;
  /** Bytes of one pane; an offset in the arena is `pane * paneBytes + offset`. */
  readonly paneBytes: number;
  /** Headers, footers and expanded payloads of the shared tier. */
  readonly scratch: Scratch;
  /** Called when scratch finds no room: evicts until a run of `units` is taken; its first unit, or -1. */
  makeRoom: ((units: number, owner: number) => number) | undefined;
}

/** Bytes that a block of `lengthBytes` takes in the arena, in units. */
export function unitsOf(lengthBytes: number): number {
  return Math.ceil(lengthBytes / SLOT_UNIT_BYTES);
}

export function createArena(io: Pick<BlockIO, 'panes'>): Arena {
  let allocator: SlotAllocator | undefined;
  const arena: Arena = {
    get allocator() {
      allocator ??= new SlotAllocator(io.panes.map((pane) => pane.length));
      return allocator;
    },
    get paneBytes() {
      return arena.allocator.unitsPerPane * SLOT_UNIT_BYTES;
    },
    makeRoom: undefined,
    scratch: {
      allocate(lengthBytes) {
        const units = unitsOf(lengthBytes);
        let unit = arena.allocator.allocate(units, OWNER_NONE);
        if (unit < 0) unit = arena.makeRoom?.(units, OWNER_NONE) ?? -1;
        if (unit < 0) return undefined;
        const offset = unit * SLOT_UNIT_BYTES;
        const pane = Math.floor(offset / arena.paneBytes);
        const start = offset - pane * arena.paneBytes;
        return { offset, bytes: io.panes[pane]!.subarray(start, start + lengthBytes) };
      },
      free(offset) {
        const unit = offset / SLOT_UNIT_BYTES;
        invariant(arena.allocator.ownerOf(unit) === OWNER_NONE, 'scratch frees what it took');
        arena.allocator.free(unit);
      },
    },
  };
  return arena;
}
