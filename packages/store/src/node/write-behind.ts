import { BATCH_BLOCKS_MAX, PUT_STATUS, SLOT_UNIT_BYTES } from '@refill/interface';
import { BLOCK_FLAG_BITS } from '../arena/block-columns.ts';
import { fillStoreRow } from '../fill-rows.ts';
import { STORE_ROW, STORE_ROW_WORDS } from '../shared-tier.ts';
import type { NodeCore } from './node-parts.ts';
import { storedElsewhere } from './stored-elsewhere.ts';

const RETRY_PAUSE_MS_MIN = 1_000;
const RETRY_PAUSE_MS_MAX = 60_000;

/**
 * Carries committed blocks to the shared tier. Those of durability `memory` wait here for company and leave in groups,
 * by count, bytes or age; those of `shared` leave at once. A block is dirty, and so borrowed, from commit until its
 * store has settled; one deleted while it waits is let go without a store. A block of `memory` whose store failed is
 * tried again: a group at a time, after pauses that double up to a minute as long as none is stored. What another node
 * stored meanwhile is dropped instead, so that one version of a key is left (guarantee 3).
 */
export class WriteBehind {
  readonly #core: NodeCore;
  #waiting: number[] = [];
  #waitingBytes = 0;
  #groupsBehind = 0;
  /** Blocks ever handed over and ever sent or let go; those up to `#hurriedTo` leave without waiting for company. */
  #added = 0;
  #sent = 0;
  #hurriedTo = 0;
  #cancelAge: (() => void) | undefined;
  readonly #inFlight = new Set<Promise<unknown>>();
  /** Further tries that still ask the directory: their blocks neither wait nor count as unstored. */
  readonly #asking = new Set<Promise<void>>();
  #progress: { promise: Promise<void>; resolve: () => void } | undefined;
  #failed = 0;
  #failedNow = 0;
  #retryPauseMs = RETRY_PAUSE_MS_MIN;
  #cancelRetry: (() => void) | undefined;
  #backlogBytes = 0;

  constructor(core: NodeCore) {
    this.#core = core;
  }

  /** Stores of a block that failed, since the start. */
  get failed(): number {
    return this.#failed;
  }

  /** Blocks that were to become durable and will not: of failed `shared` puts, and evicted after a failed store. */
  get lost(): number {
    return this.#failedNow + this.#core.tier.lost;
  }

  /** Bytes of dirty blocks, waiting or in flight. */
  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  /** Settles at the next end of a store or of a question before another try, when slots may have become evictable. */
  progress(): Promise<void> {
    if (this.#progress === undefined) {
      let resolve = (): void => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#progress = { promise, resolve };
    }
    return this.#progress.promise;
  }

  /** Takes over a block that was just committed with durability `memory`. */
  add(id: number): void {
    const lengthBytes = this.#core.tier.columns.lengthBytes[id]!;
    this.#waiting.push(id);
    this.#added++;
    this.#waitingBytes += lengthBytes;
    this.#backlogBytes += lengthBytes;
    this.#send();
  }

  /** Takes over a block that was kept in memory only, or whose store failed. */
  storeAfterAll(id: number): void {
    this.#core.tier.retryStore(id);
    this.add(id);
  }

  /** Stores blocks that were just committed with durability `shared`; fills a `PUT_STATUS` for each. */
  storeNow(ids: Int32Array, count: number, statuses: Uint32Array): Promise<void> {
    for (let i = 0; i < count; i++) this.#backlogBytes += this.#core.tier.columns.lengthBytes[ids[i]!]!;
    return this.#store(ids, count, false, statuses);
  }

  /** Settles when everything handed over so far is stored or has failed; what failed before is tried once more. */
  async drain(): Promise<void> {
    this.#retry(Infinity, Infinity);
    await Promise.all([...this.#asking]);
    const target = this.#added;
    this.hurry();
    while (this.#sent < target) await this.progress();
    await this.landed();
  }

  /** Settles when every store in flight now has ended. Waiting blocks stay where they are. */
  async landed(): Promise<void> {
    await Promise.all([...this.#inFlight]);
  }

  /** Makes those that wait leave soon: somebody needs their room. */
  hurry(): void {
    this.#hurriedTo = this.#added;
    this.#send();
  }

  /** No more tries of what failed. */
  stop(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  /** Hands blocks whose store failed over once more, but for those that are stored elsewhere now. */
  #retry(blocksMax: number, bytesMax: number): void {
    const { tier } = this.#core;
    const ids: number[] = [];
    let bytes = 0;
    tier.forEachUnstored((id) => {
      bytes += tier.columns.lengthBytes[id]!;
      return ids.push(id) < blocksMax && bytes < bytesMax;
    });
    if (ids.length === 0) return;
    // Dirty from here on, so that an id stays its block's while the directory is asked.
    for (const id of ids) tier.retryStore(id);
    const asking = this.#ask(ids).finally(() => this.#asking.delete(asking));
    this.#asking.add(asking);
  }

  async #ask(ids: readonly number[]): Promise<void> {
    const { tier } = this.#core;
    const elsewhere = await storedElsewhere(this.#core, ids);
    for (const id of ids) {
      if (elsewhere.has(id)) {
        tier.drop(id);
        tier.settleStore(id, false);
      } else this.add(id);
    }
    this.#retryLater();
    this.#tellProgress();
  }

  #retryLater(): void {
    const { tier, clock, options } = this.#core;
    if (tier.unstored === 0 || this.#cancelRetry !== undefined) return;
    this.#cancelRetry = clock.after(this.#retryPauseMs, () => {
      this.#cancelRetry = undefined;
      this.#retryPauseMs = Math.min(RETRY_PAUSE_MS_MAX, this.#retryPauseMs * 2);
      this.#retry(options.behindBlocksMax, options.behindBytesMax);
    });
  }

  #send(): void {
    const { options, clock } = this.#core;
    const blocksMax = Math.min(options.behindBlocksMax, BATCH_BLOCKS_MAX);
    while (this.#waiting.length > 0 && this.#groupsBehind < options.behindGroupsMax) {
      const isFull = this.#waiting.length >= blocksMax || this.#waitingBytes >= options.behindBytesMax;
      if (!isFull && this.#sent >= this.#hurriedTo) break;
      this.#sendGroup(blocksMax);
    }
    if (this.#waiting.length === 0) {
      this.#cancelAge?.();
      this.#cancelAge = undefined;
    } else if (this.#cancelAge === undefined) {
      this.#cancelAge = clock.after(options.behindAgeMs, () => {
        this.#cancelAge = undefined;
        this.hurry();
      });
    }
  }

  #sendGroup(blocksMax: number): void {
    const { tier, options } = this.#core;
    const ids = new Int32Array(Math.min(blocksMax, this.#waiting.length));
    let [taken, count, bytes] = [0, 0, 0];
    while (taken < ids.length && (bytes === 0 || bytes < options.behindBytesMax)) {
      const id = this.#waiting[taken++]!;
      const lengthBytes = tier.columns.lengthBytes[id]!;
      this.#waitingBytes -= lengthBytes;
      if (tier.isLinked(id)) {
        bytes += lengthBytes;
        ids[count++] = id;
      } else {
        this.#backlogBytes -= lengthBytes;
        tier.settleStore(id, false);
      }
    }
    this.#waiting = this.#waiting.slice(taken);
    this.#sent += taken;
    if (count === 0) return;
    this.#groupsBehind++;
    void this.#store(ids, count, true, undefined);
  }

  #store(ids: Int32Array, count: number, behind: boolean, statuses: Uint32Array | undefined): Promise<void> {
    const { sharedTier, log, tier } = this.#core;
    const rows = new Uint32Array(count * STORE_ROW_WORDS);
    for (let i = 0; i < count; i++) {
      const id = ids[i]!;
      tier.columns.flags[id]! |= BLOCK_FLAG_BITS.storing;
      fillStoreRow(
        rows,
        i,
        tier.namespaceOf(id),
        tier.notes.rows,
        tier.columns.note[id]!,
        0,
        tier.columns.unit[id]! * SLOT_UNIT_BYTES,
      );
    }
    const settled = (): void => this.#settle(ids, count, rows, behind, statuses);
    const work = sharedTier.store(rows, count, { behind }).then(settled, (error) => {
      log.error('store of %d blocks failed: %s', count, error);
      for (let i = 0; i < count; i++) rows[i * STORE_ROW_WORDS + STORE_ROW.status] = PUT_STATUS.failed;
      settled();
    });
    this.#inFlight.add(work);
    return work.finally(() => this.#inFlight.delete(work));
  }

  #settle(
    ids: Int32Array,
    count: number,
    rows: Uint32Array,
    behind: boolean,
    statuses: Uint32Array | undefined,
  ): void {
    const { tier, demotion } = this.#core;
    for (let i = 0; i < count; i++) {
      const id = ids[i]!;
      const status = rows[i * STORE_ROW_WORDS + STORE_ROW.status]!;
      const isStored = status === PUT_STATUS.stored;
      if (statuses !== undefined) statuses[i] = status;
      if (!isStored && status !== PUT_STATUS.exists) {
        this.#failed++;
        if (!behind) this.#failedNow++;
      } else if (this.#retryPauseMs > RETRY_PAUSE_MS_MIN) {
        // There is space again: the rest need not wait out a long pause.
        this.#retryPauseMs = RETRY_PAUSE_MS_MIN;
        this.stop();
      }
      this.#backlogBytes -= tier.columns.lengthBytes[id]!;
      // Another node's copy came first and is what everybody reads from now on; and a put that was to be durable and
      // is not must not answer `exists` to the next attempt. What was only promised to memory stays in memory.
      if (status === PUT_STATUS.exists || (!isStored && !behind)) tier.drop(id);
      if (isStored) {
        const row = i * STORE_ROW_WORDS;
        tier.columns.segment[id] = rows[row + STORE_ROW.segment]!;
        tier.columns.offsetPages[id] = rows[row + STORE_ROW.offsetPages]!;
        demotion?.stored(id);
        this.#core.placement.stored(id);
      }
      tier.settleStore(id, isStored);
    }
    this.#core.placement.send();
    if (behind) this.#groupsBehind--;
    this.#send();
    this.#retryLater();
    this.#tellProgress();
  }

  #tellProgress(): void {
    const progress = this.#progress;
    this.#progress = undefined;
    progress?.resolve();
  }
}
