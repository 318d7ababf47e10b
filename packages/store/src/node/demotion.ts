import { BATCH_BLOCKS_MAX, KEY_WORDS, SLOT_UNIT_BYTES } from '@refill/interface';
import type { NvmeTier } from '../nvme/nvme-tier.ts';
import { SEGMENT_NONE, STORE_ROW, STORE_ROW_WORDS } from '../shared-tier.ts';
import type { NodeCore } from './node-parts.ts';

/** Share of the arena that is kept ready to go: free, or of blocks that are copied or not worth it. */
const READY_SHARE = 1 / 4;
const READY_BYTES_MAX: number = 4 * 1024 * 1024 * 1024;
/** Bytes being copied at a time: twice a batch. A disk that is slower than its node is offered no more. */
const COPYING_BYTES_MAX: number = 32 * 1024 * 1024;
/** Write-through: bytes that may wait for that. What comes on top is copied when it leaves DRAM. */
const WAITING_BYTES_MAX: number = 64 * 1024 * 1024;
/** Blocks of the eviction order looked at for one victim, and victims for one turn. */
const STEPS_MAX = 1024;
const VICTIMS_MAX = 1024;
/** Reads from the segments that take so much longer than from the local disk are worth a copy of any block. */
const DEAR_FACTOR = 1.5;

/**
 * Copies blocks to the local disk before they leave DRAM, or (write-through) once they are stored. The eviction order
 * is run ahead, so that there is always something to evict that needs no copy: nobody waits for the disk. When it does
 * not keep up, blocks go without one (`dropped`).
 *
 * A copy is made only of a block whose place in a segment is known from its own store or from a verified read: the
 * copy is bound to it. What came from a peer has none, and stays out.
 */
export class Demotion {
  readonly #core: NodeCore;
  readonly #nvme: NvmeTier;
  readonly #readyBytes: number;
  readonly #copyingBytesMax: number;
  readonly #key = new Uint32Array(KEY_WORDS);
  #copyingBytes = 0;
  readonly #waiting: number[] = [];
  #waitingBytes = 0;
  #cancelTurn: (() => void) | undefined;
  #isStopped = false;
  /** Blocks copied, and blocks that were due and had to be left out: the disk was slow, paused or not ready. */
  copied = 0;
  dropped = 0;

  constructor(core: NodeCore, nvme: NvmeTier) {
    this.#core = core;
    this.#nvme = nvme;
    const arenaBytes = core.tier.arena.allocator.units * SLOT_UNIT_BYTES;
    this.#readyBytes = Math.min(READY_BYTES_MAX, arenaBytes * READY_SHARE);
    this.#copyingBytesMax = Math.min(COPYING_BYTES_MAX, arenaBytes / 8);
    core.tier.onTaken = () => this.#turnSoon();
    core.tier.onUnready = (id) => {
      if (this.#isDue(id)) this.dropped++;
    };
  }

  /** Bytes on their way to the disk. */
  get backlogBytes(): number {
    return this.#copyingBytes + this.#waitingBytes;
  }

  /** A block was stored: with write-through it is copied now. */
  stored(id: number): void {
    if (!this.#nvme.isWriteThrough || this.#isStopped || !this.#core.tier.isLinked(id)) return;
    const { tier } = this.#core;
    const lengthBytes = tier.columns.lengthBytes[id]!;
    if (!this.#nvme.isWriting || this.#waitingBytes + lengthBytes > WAITING_BYTES_MAX) {
      this.dropped++;
      return;
    }
    tier.borrow(id);
    this.#waiting.push(id);
    this.#waitingBytes += lengthBytes;
    this.#turnSoon();
  }

  /** No more copies are begun; those under way end by themselves. */
  stop(): void {
    this.#isStopped = true;
    this.#core.tier.onTaken = undefined;
    this.#core.tier.onUnready = undefined;
    this.#cancelTurn?.();
    this.#cancelTurn = undefined;
    for (const id of this.#waiting.splice(0)) this.#core.tier.giveBack(id);
    this.#waitingBytes = 0;
  }

  #turnSoon(): void {
    if (this.#cancelTurn !== undefined || this.#isStopped) return;
    // Behind the call that took the slots, and together for all of them.
    this.#cancelTurn = this.#core.clock.after(0, () => {
      this.#cancelTurn = undefined;
      this.#turn();
    });
  }

  #turn(): void {
    this.#copyWaiting();
    const { tier } = this.#core;
    const { columns } = tier;
    const group: number[] = [];
    let groupBytes = 0;
    for (let victims = 0; victims < VICTIMS_MAX; victims++) {
      if (tier.readyBytes + this.#copyingBytes + groupBytes >= this.#readyBytes) break;
      if (group.length === BATCH_BLOCKS_MAX || this.#copyingBytes + groupBytes >= this.#copyingBytesMax)
        break;
      const id = tier.advance(STEPS_MAX);
      if (id < 0) break;
      if (!this.#isDue(id)) tier.setReady(id);
      else if (!this.#nvme.isWriting) {
        this.dropped++;
        tier.setReady(id);
      } else {
        tier.beginCopy(id);
        group.push(id);
        groupBytes += columns.units[id]! * SLOT_UNIT_BYTES;
      }
    }
    if (group.length > 0) this.#copy(group, groupBytes, (id) => tier.endCopy(id));
  }

  #copyWaiting(): void {
    const { tier } = this.#core;
    const group: number[] = [];
    let groupBytes = 0;
    let taken = 0;
    while (taken < this.#waiting.length && group.length < BATCH_BLOCKS_MAX) {
      if (this.#copyingBytes + groupBytes >= this.#copyingBytesMax) break;
      const id = this.#waiting[taken++]!;
      this.#waitingBytes -= tier.columns.lengthBytes[id]!;
      // Deleted meanwhile: nobody will ask for it.
      if (!tier.isLinked(id)) {
        tier.giveBack(id);
        continue;
      }
      group.push(id);
      groupBytes += tier.columns.units[id]! * SLOT_UNIT_BYTES;
    }
    this.#waiting.splice(0, taken);
    if (group.length > 0) this.#copy(group, groupBytes, (id) => tier.giveBack(id));
  }

  /** Whether a block that is about to go is to be copied: its bytes are known, not here yet, and worth it. */
  #isDue(id: number): boolean {
    const { tier, sources } = this.#core;
    const { segment, offsetPages, lengthBytes } = tier.columns;
    if (segment[id] === SEGMENT_NONE || !this.#nvme.fits(lengthBytes[id]!)) return false;
    const key = this.#key;
    tier.copyKey(id, key, 0);
    if (this.#nvme.holds(tier.namespaceOf(id), key, 0, segment[id]!, offsetPages[id]!)) return false;
    if (tier.wasUsed(id)) return true;
    const { shared, nvme } = sources.estimatesMs(lengthBytes[id]!);
    return shared > DEAR_FACTOR * nvme;
  }

  #copy(ids: readonly number[], bytes: number, settle: (id: number) => void): void {
    const { log } = this.#core;
    const rows = new Uint32Array(ids.length * STORE_ROW_WORDS);
    for (const [i, id] of ids.entries()) this.#fillRow(rows, i, id);
    this.#copyingBytes += bytes;
    const ended = (copied: number): void => {
      this.#copyingBytes -= bytes;
      this.copied += copied;
      this.dropped += ids.length - copied;
      for (const id of ids) settle(id);
      this.#turnSoon();
    };
    this.#nvme.copy(rows, ids.length).then(ended, (error) => {
      log.error('copying %d blocks to the local disk failed: %s', ids.length, error);
      ended(0);
    });
  }

  #fillRow(rows: Uint32Array, index: number, id: number): void {
    const { tier } = this.#core;
    const { columns } = tier;
    const row = index * STORE_ROW_WORDS;
    tier.copyKey(id, rows, row + STORE_ROW.key);
    const offset = tier.offsetOf(id);
    rows[row + STORE_ROW.namespace] = tier.namespaceOf(id);
    rows[row + STORE_ROW.lengthBytes] = columns.lengthBytes[id]!;
    rows[row + STORE_ROW.tokens] = columns.tokens[id]!;
    rows[row + STORE_ROW.bufferOffsetLo] = offset >>> 0;
    rows[row + STORE_ROW.bufferOffsetHi] = Math.floor(offset / 2 ** 32);
    rows[row + STORE_ROW.segment] = columns.segment[id]!;
    rows[row + STORE_ROW.offsetPages] = columns.offsetPages[id]!;
  }
}
