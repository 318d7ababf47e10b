import { type Clock, KEY_WORDS, KeyTable, TTL_BLOCKS_MAX } from '@refill/interface';
import { copyWords } from '../fill-rows.ts';

/** Deletions of a while go together: each costs a batch and a sync. */
const BURY_AGE_MS = 100;
const BURY_KEYS_MAX = 4096;
const RETRY_PAUSE_MS_MIN = 1_000;
const RETRY_PAUSE_MS_MAX = 60_000;
/** The clock is asked again at the latest after this, for timers of 24 days and more fire at once. */
const WAKE_MS_MAX = 3_600_000;

export interface ExpiryParts {
  clock: Clock;
  seed: number;
  log: { error(format: string, ...args: unknown[]): void };
  /** The block's life has ended: nobody finds it in DRAM any more. */
  drop(namespace: number, keys: Uint32Array, at: number): void;
  /** Deletes blocks for good, as far as they are this node's; none comes back when it settles. */
  bury(namespace: number, keys: Uint32Array, count: number): Promise<void>;
}

/**
 * Lives of blocks (`ttlMs`), by the monotonic clock of this node and in its memory only. When a life ends the block is
 * a miss here at once: out of DRAM, and hidden in the directory until its deletion is durable. Deletions are gathered;
 * one that fails is tried again, the block staying hidden. A restart forgets lives: what is stored then stays until it
 * is evicted or deleted.
 */
export class Expiry {
  expired = 0;
  refused = 0;
  readonly #parts: ExpiryParts;
  readonly #table: KeyTable;
  /** When the life of an id ends; 0: it was forgotten. */
  #dueMs = new Float64Array(64);
  /** Binary heap of `due, id`; entries whose due is not that of their id any more mean nothing. */
  readonly #heap: { dueMs: number; id: number }[] = [];
  /** Ids whose life has ended and whose deletion is not durable. */
  readonly #hidden = new Set<number>();
  #cancelWake: (() => void) | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #burying: Promise<void> | undefined;
  #isBurialPlanned = false;
  #retryPauseMs = RETRY_PAUSE_MS_MIN;
  #cancelBurial: (() => void) | undefined;
  #isStopped = false;

  constructor(parts: ExpiryParts) {
    this.#parts = parts;
    this.#table = new KeyTable({ seed: parts.seed });
  }

  /** Blocks that have a life, or had one and are not deleted yet. */
  get size(): number {
    return this.#table.size;
  }

  /** Whether anything is hidden: what a lookup asks before it looks a key up here. */
  get hidesAny(): boolean {
    return this.#hidden.size > 0;
  }

  /** Gives a block a life; false when there are too many. */
  set(namespace: number, keys: Uint32Array, at: number, ttlMs: number): boolean {
    const known = this.#table.find(namespace, keys, at);
    if (known < 0 && this.size >= TTL_BLOCKS_MAX) {
      this.refused++;
      return false;
    }
    const id = known < 0 ? this.#table.insert(namespace, keys, at) : known;
    if (id >= this.#dueMs.length) {
      const larger = new Float64Array(this.#dueMs.length * 2);
      larger.set(this.#dueMs);
      this.#dueMs = larger;
    }
    this.#hidden.delete(id);
    const dueMs = this.#parts.clock.nowMs() + ttlMs;
    this.#dueMs[id] = dueMs;
    this.#push({ dueMs, id });
    this.#wakeBy(dueMs);
    return true;
  }

  /** The block under this key has no life (any more): it was deleted, or put anew without one. */
  forget(namespace: number, keys: Uint32Array, at: number): void {
    if (this.size === 0) return;
    const id = this.#table.find(namespace, keys, at);
    if (id >= 0) this.#end(id);
  }

  /** Whether a block has a life. */
  has(namespace: number, keys: Uint32Array, at: number): boolean {
    return this.size > 0 && this.#table.find(namespace, keys, at) >= 0;
  }

  /** Whether the life of a block has ended and its deletion is not durable yet. */
  isHidden(namespace: number, keys: Uint32Array, at: number): boolean {
    if (!this.hidesAny) return false;
    const id = this.#table.find(namespace, keys, at);
    return id >= 0 && this.#hidden.has(id);
  }

  /** Settles when the deletion under way, or the next one, has ended. */
  settled(): Promise<void> {
    return this.#burying ?? Promise.resolve();
  }

  /** No deletion begins any more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelWake?.();
    this.#cancelBurial?.();
  }

  #wakeBy(dueMs: number): void {
    if (this.#isStopped || dueMs >= this.#wakeAtMs) return;
    this.#cancelWake?.();
    this.#wakeAtMs = dueMs;
    const delayMs = Math.min(WAKE_MS_MAX, Math.max(0, dueMs - this.#parts.clock.nowMs()));
    this.#cancelWake = this.#parts.clock.after(delayMs, () => this.#wake());
  }

  #wake(): void {
    const { clock, drop } = this.#parts;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    const nowMs = clock.nowMs();
    const key = new Uint32Array(KEY_WORDS);
    for (let top = this.#heap[0]; top !== undefined && top.dueMs <= nowMs; top = this.#heap[0]) {
      this.#pop();
      if (this.#dueMs[top.id] !== top.dueMs) continue;
      this.expired++;
      this.#hidden.add(top.id);
      this.#table.copyKey(top.id, key, 0);
      drop(this.#table.namespaceOf(top.id), key, 0);
    }
    if (this.#heap.length > 0) this.#wakeBy(this.#heap[0]!.dueMs);
    this.#buryAfter(BURY_AGE_MS);
  }

  #buryAfter(delayMs: number): void {
    if (this.#isStopped || this.#isBurialPlanned || !this.hidesAny) return;
    this.#isBurialPlanned = true;
    this.#cancelBurial = this.#parts.clock.after(delayMs, () => {
      this.#burying = this.#buryAll().finally(() => {
        this.#burying = undefined;
        this.#isBurialPlanned = false;
        this.#buryAfter(this.#retryPauseMs);
      });
    });
  }

  async #buryAll(): Promise<void> {
    const byNamespace = new Map<number, number[]>();
    for (const id of this.#hidden) {
      const namespace = this.#table.namespaceOf(id);
      const ids = byNamespace.get(namespace) ?? [];
      byNamespace.set(namespace, ids);
      ids.push(id);
    }
    for (const [namespace, ids] of byNamespace) {
      for (let from = 0; from < ids.length; from += BURY_KEYS_MAX) {
        if (!(await this.#buryIds(namespace, ids.slice(from, from + BURY_KEYS_MAX)))) return;
      }
    }
  }

  async #buryIds(namespace: number, ids: readonly number[]): Promise<boolean> {
    const keys = new Uint32Array(ids.length * KEY_WORDS);
    for (const [i, id] of ids.entries()) this.#table.copyKey(id, keys, i * KEY_WORDS);
    const dues = ids.map((id) => this.#dueMs[id]);
    try {
      await this.#parts.bury(namespace, keys, ids.length);
    } catch (error) {
      this.#parts.log.error('blocks whose life has ended were not deleted: %s', (error as Error).message);
      this.#retryPauseMs = Math.min(RETRY_PAUSE_MS_MAX, this.#retryPauseMs * 2);
      return false;
    }
    this.#retryPauseMs = RETRY_PAUSE_MS_MIN;
    // What was put anew meanwhile has a life of its own.
    for (const [i, id] of ids.entries())
      if (this.#hidden.has(id) && this.#dueMs[id] === dues[i]) this.#end(id);
    return true;
  }

  #end(id: number): void {
    this.#hidden.delete(id);
    this.#dueMs[id] = 0;
    this.#table.delete(id);
  }

  #push(entry: { dueMs: number; id: number }): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (heap[above]!.dueMs <= entry.dueMs) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && heap[below + 1]!.dueMs < heap[below]!.dueMs) below++;
      if (heap[below]!.dueMs >= last.dueMs) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
  }
}

/** The keys at these positions, packed. */
export function keysAt(keys: Uint32Array, positions: readonly number[]): Uint32Array {
  const packed = new Uint32Array(positions.length * KEY_WORDS);
  for (const [to, from] of positions.entries()) {
    copyWords(keys, from * KEY_WORDS, packed, to * KEY_WORDS, KEY_WORDS);
  }
  return packed;
}
