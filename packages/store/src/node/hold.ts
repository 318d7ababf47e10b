import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS, SLOT_UNIT_BYTES } from '@refill/interface';
import type { PeerHeld, PeerHold } from '../peer/peer-messages.ts';
import { AwaitedBlocks } from './awaited-blocks.ts';
import { doneBy } from './deadline.ts';
import { gatherMisses, locateMisses } from './find-misses.ts';
import type { NodeCore } from './node-parts.ts';

/** Holds of all members at a time, and the share of the arena that their blocks may take while they are read. */
const HOLDS_MAX = 8;
const HOLD_SHARE = 1 / 8;
/** Share of the arena that cannot be evicted now above which nothing is taken in: clients need the rest. */
const PRESSURE_SHARE = 1 / 2;
/** Less than what the asking member waits. */
const HOLD_MS = 8_000;

/**
 * Reads blocks into DRAM because another member asks for it: it has put them for this node, wants more copies, or
 * leaves. They come by whatever way a read takes, verified, and are ordinary blocks from then on: the next reader may
 * evict them. Refused while memory is short, while this node leaves, and beyond a few holds at a time.
 */
export class Holds {
  readonly #core: NodeCore;
  #underWay = 0;
  #bytesUnderWay = 0;

  constructor(core: NodeCore) {
    this.#core = core;
  }

  async hold(namespace: number, { keys, count, ttlMs }: PeerHold): Promise<PeerHeld> {
    const { hintCounters, log } = this.#core;
    hintCounters.holdsAsked += count;
    let held = 0;
    if (!this.#isShort()) {
      this.#underWay++;
      try {
        held = await this.#read(namespace, keys, count, ttlMs);
      } catch (error) {
        log.error('blocks that a member asked to hold were not read: %s', (error as Error).message);
      } finally {
        this.#underWay--;
      }
    }
    hintCounters.held += held;
    const refused = count - held;
    hintCounters.holdsRefused += refused;
    return { held, refused, freeBytes: this.#core.tier.arena.allocator.freeUnits * SLOT_UNIT_BYTES };
  }

  get #arenaBytes(): number {
    return this.#core.tier.arena.allocator.units * SLOT_UNIT_BYTES;
  }

  #isShort(): boolean {
    const { tier, behind, draining } = this.#core;
    if (draining || this.#underWay >= HOLDS_MAX) return true;
    const heldBytes = tier.pinnedBytes + tier.quarantinedBytes + behind.backlogBytes;
    return heldBytes > this.#arenaBytes * PRESSURE_SHARE;
  }

  async #read(namespace: number, keys: Uint32Array, count: number, ttlMs: number): Promise<number> {
    const core = this.#core;
    const { tier, loads, clock, options, expiry } = core;
    const positions = new Int32Array(count);
    let missing = 0;
    for (let i = 0; i < count; i++) {
      if (tier.find(namespace, keys, i * KEY_WORDS) < 0) positions[missing++] = i;
    }
    const misses = gatherMisses(keys, positions, missing);
    await locateMisses(core, namespace, misses);
    const flight = loads.prepare(missing);
    const awaited = new AwaitedBlocks();
    let bytes = 0;
    for (let i = 0; i < missing; i++) {
      const at = i * LOCATION_ROW_WORDS;
      if (misses.locations[at + LOCATION_ROW.found] === 0) continue;
      if (tier.find(namespace, misses.keys, i * KEY_WORDS) >= 0) continue;
      const lengthBytes = misses.locations[at + LOCATION_ROW.lengthBytes]!;
      if (this.#bytesUnderWay + bytes + lengthBytes > this.#arenaBytes * HOLD_SHARE) break;
      if (loads.add(flight, namespace, misses.keys, i, misses.locations, i) >= 0) bytes += lengthBytes;
    }
    if (flight.count > 0) {
      this.#bytesUnderWay += bytes;
      awaited.board(flight);
      loads.depart(flight, options.loadDeadlineMs);
      const landed = awaited.landedAll().then(() => {
        this.#bytesUnderWay -= bytes;
      });
      await doneBy(clock, clock.nowMs() + HOLD_MS, landed);
    }
    let held = 0;
    for (let i = 0; i < count; i++) {
      const id = tier.find(namespace, keys, i * KEY_WORDS);
      if (id < 0 || !tier.isReadable(id)) continue;
      held++;
      // The copy here ends with the block's life: nobody tells this node of its deletion.
      if (ttlMs > 0) expiry.set(namespace, keys, i * KEY_WORDS, ttlMs);
    }
    return held;
  }
}
