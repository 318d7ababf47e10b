import { PAGE_BYTES } from '@refill/interface';
import type { SimProcess } from './sim-process.ts';

interface Page {
  bytes: Uint8Array;
  readonly host: string;
  isSynced: boolean;
  /** Other hosts read zeros there before. */
  visibleAtMs: number;
}

const ZEROS = new Uint8Array(PAGE_BYTES);

/** A segment's file on the shared file system, page by page, as each host sees it. */
export class SharedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly host: string;
  /** When other hosts see its name, and its size. */
  readonly namedAtMs: number;
  readonly sizedAtMs: number;
  isUnlinked = false;
  /** Reads in flight, and by whom. */
  readonly reads = new Set<{ readonly process: SimProcess; readonly mayRely: () => boolean }>();
  readonly #pages = new Map<number, Page>();
  /** Every page that was ever written, also those that were lost: R1. */
  readonly #written = new Set<number>();
  #writer: SimProcess | undefined;

  constructor(path: string, sizeBytes: number, host: string, namedAtMs: number, sizedAtMs: number) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.host = host;
    this.namedAtMs = namedAtMs;
    this.sizedAtMs = sizedAtMs;
  }

  /** Answers what rule it breaks, if any. */
  write(
    page: number,
    bytes: Uint8Array,
    host: string,
    writer: SimProcess,
    visibleAtMs: number,
  ): string | undefined {
    this.#writer ??= writer;
    const isRewritten = this.#written.has(page);
    this.#written.add(page);
    this.#pages.set(page, { bytes: bytes.slice(), host, isSynced: false, visibleAtMs });
    if (isRewritten) return `R1: page ${page} of ${this.path} is written twice`;
    if (this.#writer !== writer)
      return `R1: ${this.path} is of ${this.#writer.name}, and ${writer.name} writes to it`;
    return undefined;
  }

  read(page: number, host: string, nowMs: number): Uint8Array {
    const found = this.#pages.get(page);
    return found === undefined || (found.host !== host && nowMs < found.visibleAtMs) ? ZEROS : found.bytes;
  }

  /** Bytes that this host may read. */
  sizeFor(host: string, nowMs: number): number {
    return host === this.host || nowMs >= this.sizedAtMs ? this.sizeBytes : 0;
  }

  sync(host: string, visibleAtMs: number): void {
    for (const page of this.#pages.values()) {
      if (page.host !== host || page.isSynced) continue;
      page.isSynced = true;
      page.visibleAtMs = Math.min(page.visibleAtMs, visibleAtMs);
    }
  }

  /**
   * The host loses power: what it had not synced is kept, lost or torn, page by page. What others see by now has left it.
   */
  lose(host: string, nowMs: number, random: () => number): void {
    for (const [number, page] of this.#pages) {
      if (page.host !== host || page.isSynced || nowMs >= page.visibleAtMs) continue;
      const luck = random();
      page.isSynced = true;
      if (luck < 0.35) continue;
      if (luck < 0.85) this.#pages.delete(number);
      else {
        const torn = new Uint8Array(PAGE_BYTES);
        torn.set(page.bytes.subarray(0, 512 * Math.floor(1 + random() * 7)));
        page.bytes = torn;
      }
    }
  }

  /** What lies there, whoever sees it, whether all of it was synced, and whether it would survive its writer's host. */
  stored(
    offset: number,
    length: number,
    nowMs: number,
  ): { bytes: Uint8Array; isSynced: boolean; isSafe: boolean } {
    const bytes = new Uint8Array(Math.ceil(length / PAGE_BYTES) * PAGE_BYTES);
    let [isSynced, isSafe] = [true, true];
    for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
      const page = this.#pages.get((offset + at) / PAGE_BYTES);
      if (!page?.isSynced) isSynced = false;
      if (page === undefined || (!page.isSynced && nowMs < page.visibleAtMs)) isSafe = false;
      if (page !== undefined) bytes.set(page.bytes, at);
    }
    return { bytes: bytes.subarray(0, length), isSynced, isSafe };
  }
}
