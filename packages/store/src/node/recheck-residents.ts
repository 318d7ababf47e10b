import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import { dropRemoved } from './drop-removed.ts';
import type { NodeCore } from './node-parts.ts';

/** Keys of one question: what the metadata service is asked at a time. */
const KEYS_MAX = 2048;
/** After a question that was not answered. */
const RETRY_MS = 1000;

/**
 * After deletions that were not told one by one (thousands at once, or another life of the metadata service): asks where
 * everything is that DRAM holds of the shared file system, a question at a time, and drops what is nowhere, or elsewhere
 * than it was when it came here; with it goes what came from a peer, whose place nobody told.
 */
export class RecheckResidents {
  readonly #core: NodeCore;
  #isRunning = false;
  #isAsked = false;
  #isStopped = false;
  #cancelRetry: (() => void) | undefined;

  constructor(core: NodeCore) {
    this.#core = core;
  }

  /** From the start again if it is under way: more may have been deleted. */
  start(): void {
    this.#isAsked = true;
    if (this.#isRunning || this.#isStopped) return;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRetry?.();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const { clock, log } = this.#core;
    while (this.#isAsked && !this.#isStopped) {
      this.#isAsked = false;
      try {
        await this.#recheck();
      } catch (error) {
        log.error('what was deleted elsewhere is not known yet: %s', error);
        this.#isAsked = true;
        break;
      }
    }
    this.#isRunning = false;
    if (this.#isAsked && !this.#isStopped) this.#cancelRetry = clock.after(RETRY_MS, () => this.start());
  }

  async #recheck(): Promise<void> {
    const { tier, behind } = this.#core;
    // What is being stored is from the shared file system after that.
    await behind.landed();
    const waiting = new Map<number, { keys: Uint32Array; count: number }>();
    for (let id = 0; id < tier.idEnd && !this.#isStopped; id++) {
      if (!tier.isLinked(id) || !tier.isFromShared(id)) continue;
      const namespace = tier.namespaceOf(id);
      const part = waiting.get(namespace) ?? { keys: new Uint32Array(KEYS_MAX * KEY_WORDS), count: 0 };
      waiting.set(namespace, part);
      tier.copyKey(id, part.keys, KEY_WORDS * part.count++);
      if (part.count < KEYS_MAX) continue;
      await this.#ask(namespace, part);
      part.count = 0;
    }
    for (const [namespace, part] of waiting) await this.#ask(namespace, part);
  }

  async #ask(namespace: number, { keys, count }: { keys: Uint32Array; count: number }): Promise<void> {
    if (count === 0 || this.#isStopped) return;
    const rows = new Uint32Array(count * LOCATION_ROW_WORDS);
    await this.#core.directory.lookup(namespace, keys, count, rows, { certain: true });
    for (let i = 0; i < count; i++) {
      if (!this.#isSame(namespace, keys, i, rows)) dropRemoved(this.#core, namespace, keys, i * KEY_WORDS);
    }
  }

  /** Whether what is here lies where the directory says: it may have been deleted and put again, elsewhere. */
  #isSame(namespace: number, keys: Uint32Array, i: number, rows: Uint32Array): boolean {
    const { tier, loads } = this.#core;
    const row = i * LOCATION_ROW_WORDS;
    const id = tier.find(namespace, keys, i * KEY_WORDS);
    if (id < 0 || rows[row + LOCATION_ROW.found] !== 1) return false;
    // One on its way is read from where its flight says: dropping it without need would make misses of hits.
    const [segment, offsetPages] = loads.placeOf(id) ?? [
      tier.columns.segment[id],
      tier.columns.offsetPages[id],
    ];
    return (
      segment === rows[row + LOCATION_ROW.segment] && offsetPages === rows[row + LOCATION_ROW.offsetPages]
    );
  }
}
