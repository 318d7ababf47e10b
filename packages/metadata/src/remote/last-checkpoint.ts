import {
  type Clock,
  ENTRY_NONE,
  KEY_WORDS,
  KeyTable,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  type SmallFiles,
} from '@refill/interface';
import { INDEX_ROW, INDEX_ROW_WORDS } from '../block-index.ts';
import { findManifest, readPart } from '../checkpoint.ts';
import type { AsOf, HeardRemovals } from './heard-removals.ts';

/** `segment` to `tokens` of `INDEX_ROW`: what a location needs. */
const COLUMNS = 7;
const ENTRY_BYTES = 4 * (KEY_WORDS + 1 + COLUMNS) + 10;
const STORED_BITS = 29;
/** After a failure, before it is tried again. */
const RETRY_MS = 10_000;

/**
 * Locations from the last checkpoint on the shared file system, for the time while the metadata service is away.
 * Loaded when first asked, as far as the bound allows; given back when the service is there again. It may show blocks
 * that were deleted since it was written (invariant K9): so it is used only where this node has heard of every deletion
 * since, which are then left out. One of another incarnation of the directory is passed over: its segments are others.
 */
export class LastCheckpoint {
  readonly #files: SmallFiles;
  readonly #clock: Clock;
  readonly #log: { error(format: string, ...args: unknown[]): void };
  readonly #seed: number;
  readonly #entriesMax: number;
  readonly #heard: HeardRemovals;
  #table: KeyTable | undefined;
  /** Of the checkpoint in the table. */
  #asOf: AsOf = { session: 0, version: 0 };
  #loading: Promise<void> | undefined;
  #retryAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    parts: {
      files: SmallFiles;
      clock: Clock;
      log: { error(format: string, ...args: unknown[]): void };
      heard: HeardRemovals;
    },
    options: { seed: number; bytesMax: number },
  ) {
    this.#files = parts.files;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#heard = parts.heard;
    this.#seed = options.seed;
    this.#entriesMax = Math.floor(options.bytesMax / ENTRY_BYTES);
  }

  /** Blocks that it knows. */
  get size(): number {
    return this.#table?.size ?? 0;
  }

  /** Settles when it is loaded, or could not be, or after `waitMs`. Never rejects. */
  async ready(incarnation: number, waitMs: number): Promise<void> {
    if (this.#table !== undefined && !this.#heard.covers(this.#asOf)) this.release();
    if (this.#table !== undefined || this.#clock.nowMs() < this.#retryAtMs) return;
    this.#loading ??= this.#load(incarnation)
      .catch((error: unknown) => {
        this.#log.error('the last checkpoint cannot be read: %o', error);
      })
      .finally(() => {
        this.#loading = undefined;
        this.#retryAtMs = this.#clock.nowMs() + RETRY_MS;
      });
    const { promise, cancel } = this.#pause(waitMs);
    await Promise.race([this.#loading, promise]);
    cancel();
  }

  /** Fills location row `to` of a key; false when it is not known. */
  locate(
    namespace: number,
    keys: Uint32Array,
    index: number,
    rows: Uint32Array,
    to: number,
    isReadable: (segment: number) => boolean,
  ): boolean {
    const id = this.#table?.find(namespace, keys, index * KEY_WORDS) ?? -1;
    if (id < 0 || !this.#heard.covers(this.#asOf)) return false;
    if (this.#heard.isRemovedSince(this.#asOf, namespace, keys, index * KEY_WORDS)) return false;
    const page = this.#table!.pageOf(id)!;
    const from = this.#table!.rowAt(id);
    if (!isReadable(page[from + INDEX_ROW.segment]!)) return false;
    const stored = page[from + INDEX_ROW.storedBytesAndFlags]!;
    const at = to * LOCATION_ROW_WORDS;
    rows.fill(0, at, at + LOCATION_ROW_WORDS);
    rows[at + LOCATION_ROW.found] = 1;
    rows[at + LOCATION_ROW.segment] = page[from + INDEX_ROW.segment]!;
    rows[at + LOCATION_ROW.offsetPages] = page[from + INDEX_ROW.offsetPages]!;
    rows[at + LOCATION_ROW.lengthBytes] = page[from + INDEX_ROW.lengthBytes]!;
    rows[at + LOCATION_ROW.storedBytes] = stored & (2 ** STORED_BITS - 1);
    rows[at + LOCATION_ROW.checksumLo] = page[from + INDEX_ROW.checksumLo]!;
    rows[at + LOCATION_ROW.checksumHi] = page[from + INDEX_ROW.checksumHi]!;
    rows[at + LOCATION_ROW.tokens] = page[from + INDEX_ROW.tokens]!;
    rows[at + LOCATION_ROW.flags] = stored >>> STORED_BITS;
    rows[at + LOCATION_ROW.entry] = ENTRY_NONE;
    return true;
  }

  /** Forgets a key: it was found gone there. */
  remove(namespace: number, key: Uint32Array): void {
    const id = this.#table?.find(namespace, key, 0) ?? -1;
    if (id >= 0) this.#table!.delete(id);
  }

  /** Gives the memory back. */
  release(): void {
    this.#table?.free();
    this.#table = undefined;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
  }

  async #load(incarnation: number): Promise<void> {
    const { manifest } = await findManifest(this.#files);
    if (manifest === undefined || manifest.incarnation !== incarnation) return;
    const asOf = { session: manifest.session ?? 0, version: manifest.catalogueVersion ?? 0 };
    if (!this.#heard.covers(asOf)) return;
    const table = new KeyTable({ seed: this.#seed, columns: COLUMNS });
    for (let part = 0; part < manifest.parts.length && table.size < this.#entriesMax; part++) {
      const content = await readPart(this.#files, manifest, part);
      if (content === undefined) continue;
      for (let i = 0; i < content.count && table.size < this.#entriesMax; i++) {
        const at = i * INDEX_ROW_WORDS;
        if (content.rows[at + INDEX_ROW.lengthBytes] === 0) continue;
        const id = table.insert(content.namespaces[i]!, content.keys, i * KEY_WORDS);
        table.pageOf(id)!.set(content.rows.subarray(at, at + COLUMNS), table.rowAt(id));
      }
    }
    this.#table = table;
    this.#asOf = asOf;
  }

  #pause(ms: number): { promise: Promise<void>; cancel: () => void } {
    let wake = (): void => {};
    const promise = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const cancelTimer = this.#clock.after(ms, wake);
    return {
      promise,
      cancel: () => {
        cancelTimer();
        wake();
      },
    };
  }
}
