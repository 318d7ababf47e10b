import { OWNER_NONE, type SlotAllocator } from './slot-allocator.ts';

/** Blocks of the eviction order tried before the arena is searched by address. */
const VICTIMS_MAX = 24;
/** Blocks of the eviction queue looked at for one victim. */
const QUEUE_STEPS_MAX = 4096;
/** Runs looked at by the search by address: bounds the pause of one call to about a millisecond. */
const SEARCH_STEPS_MAX = 65_536;

/**
 * Evicts until a run of `units` can be taken for `owner`; answers its first unit or -1. The eviction order proposes a
 * victim; when it is too short by itself, the neighbours in the arena that are free or evictable are added, and go
 * together only if they suffice. So a large block among small ones costs about its own size of cached blocks, not the
 * arena. When no proposal has such neighbours, the arena is searched by address for the first stretch that does.
 */
export function makeRoom(
  allocator: SlotAllocator,
  nextVictim: (stepsMax: number) => number,
  isEvictable: (id: number) => boolean,
  evict: (id: number) => void,
  unitOf: Int32Array,
  units: number,
  owner: number,
): number {
  if (units > allocator.unitsPerPane) return -1;
  const yields = (run: number): boolean => {
    if (allocator.isFree(run)) return true;
    const id = allocator.ownerOf(run);
    return id !== OWNER_NONE && isEvictable(id);
  };
  for (let tries = 0; tries < VICTIMS_MAX; tries++) {
    const id = nextVictim(QUEUE_STEPS_MAX);
    if (id < 0) break;
    const start = stretchAround(allocator, unitOf[id]!, units, yields);
    if (start >= 0) return takeStretch(allocator, start, units, owner, evict);
    // Evicted although it did not suffice: it was due, and its hole helps whoever comes next.
    evict(id);
    const unit = allocator.allocate(units, owner);
    if (unit >= 0) return unit;
  }
  const start = searchStretch(allocator, units, yields);
  return start < 0 ? -1 : takeStretch(allocator, start, units, owner, evict);
}

/** First unit of a stretch of yielding runs of at least `units` that holds `run`, or -1. */
function stretchAround(
  allocator: SlotAllocator,
  run: number,
  units: number,
  yields: (run: number) => boolean,
): number {
  let size = allocator.sizeOf(run);
  for (let at = allocator.rightOf(run); at >= 0 && size < units && yields(at); at = allocator.rightOf(at)) {
    size += allocator.sizeOf(at);
  }
  let start = run;
  for (let at = allocator.leftOf(run); at >= 0 && size < units && yields(at); at = allocator.leftOf(at)) {
    size += allocator.sizeOf(at);
    start = at;
  }
  return size >= units ? start : -1;
}

/** The same by address, from the start of the arena. */
function searchStretch(allocator: SlotAllocator, units: number, yields: (run: number) => boolean): number {
  let start = 0;
  let size = 0;
  for (let run = 0, steps = 0; run < allocator.units && steps < SEARCH_STEPS_MAX; steps++) {
    if (run % allocator.unitsPerPane === 0) size = 0;
    if (size === 0) start = run;
    size = yields(run) ? size + allocator.sizeOf(run) : 0;
    if (size >= units) return start;
    run += allocator.sizeOf(run);
  }
  return -1;
}

/** Evicts the blocks of a stretch until `units` from its start on are free, and takes them. */
function takeStretch(
  allocator: SlotAllocator,
  start: number,
  units: number,
  owner: number,
  evict: (id: number) => void,
): number {
  const left = allocator.leftOf(start);
  // What was free on the left merges with what is freed now.
  const run = left >= 0 && allocator.isFree(left) ? left : start;
  // Listed first: while runs merge, the tags inside the stretch mean nothing.
  const victims: number[] = [];
  for (let at = start; at < start + units; at += allocator.sizeOf(at)) {
    if (!allocator.isFree(at)) victims.push(allocator.ownerOf(at));
  }
  for (const id of victims) evict(id);
  return allocator.allocateAt(run, units, owner);
}
