import type { Clock } from '@refill/interface';
import type { FsFaults } from './faults.ts';
import { SharedFile } from './shared-file.ts';
import type { SimProcess } from './sim-process.ts';

interface SmallFile {
  readonly bytes: Uint8Array | undefined;
  readonly host: string;
  readonly visibleAtMs: number;
  readonly before: Uint8Array | undefined;
}

export interface SharedFsParts {
  clock: Clock;
  random: () => number;
  faults: FsFaults;
  /** Told of every rule that is broken. */
  report: (violation: string) => void;
}

/**
 * The file system that every host mounts, with what was measured of real ones: another host sees a name, a size and
 * bytes late, syncs make bytes visible soon, and what was not synced is lost or torn with its host.
 */
export class SharedFs {
  readonly files = new Map<string, SharedFile>();
  readonly #small = new Map<string, SmallFile>();
  /** Every path that a file was ever created at: R1. */
  readonly #created = new Set<string>();
  readonly #parts: SharedFsParts;

  constructor(parts: SharedFsParts) {
    this.#parts = parts;
  }

  get faults(): FsFaults {
    return this.#parts.faults;
  }

  /** The file as this host sees it. */
  find(path: string, host: string): SharedFile | undefined {
    const file = this.files.get(path);
    return file !== undefined && this.#isNamed(file, host) ? file : undefined;
  }

  create(path: string, sizeBytes: number, host: string): SharedFile | undefined {
    const { clock, report, faults } = this.#parts;
    if (this.#created.has(path)) report(`R1: ${path} is created a second time`);
    if (this.files.has(path)) return undefined;
    this.#created.add(path);
    const nowMs = clock.nowMs();
    const file = new SharedFile(
      path,
      sizeBytes,
      host,
      nowMs + this.#draw(faults.lateNameMs),
      nowMs + this.#draw(faults.lateSizeMs),
    );
    this.files.set(path, file);
    return file;
  }

  write(file: SharedFile, page: number, bytes: Uint8Array, host: string, writer: SimProcess): void {
    const { clock, report, faults } = this.#parts;
    const broken = file.write(
      page,
      bytes,
      host,
      writer,
      clock.nowMs() + this.#draw(faults.unsyncedMs) + faults.staleMs,
    );
    if (broken !== undefined) report(broken);
  }

  sync(file: SharedFile, host: string): void {
    const { clock, faults } = this.#parts;
    if (!faults.syncsLie) file.sync(host, clock.nowMs() + this.#draw(faults.staleMs));
  }

  /** R6: nobody who holds a lease is reading it. */
  unlink(path: string, by: SimProcess): void {
    const file = this.files.get(path);
    this.#small.delete(path);
    if (file === undefined) return;
    for (const { process, mayRely } of file.reads) {
      if (process !== by && process.state !== 'dead' && mayRely())
        this.#parts.report(`C2: ${by.name} unlinks ${path} while ${process.name} reads it`);
    }
    file.isUnlinked = true;
    this.files.delete(path);
  }

  /** Names in a folder as this host sees them. */
  list(folder: string, host: string): string[] {
    const names = new Set<string>();
    const add = (path: string): void => {
      if (path.startsWith(`${folder}/`)) names.add(path.slice(folder.length + 1).split('/')[0]!);
    };
    for (const [path, file] of this.files) if (this.#isNamed(file, host)) add(path);
    for (const path of this.#small.keys()) if (this.readSmall(path, host) !== undefined) add(path);
    return [...names].sort();
  }

  readSmall(path: string, host: string): Uint8Array | undefined {
    const file = this.#small.get(path);
    if (file === undefined) return undefined;
    const isSeen = file.host === host || this.#parts.clock.nowMs() >= file.visibleAtMs;
    return isSeen ? file.bytes : file.before;
  }

  writeSmall(path: string, bytes: Uint8Array, host: string): void {
    const visibleAtMs = this.#parts.clock.nowMs() + this.#draw(this.faults.lateSmallMs);
    const before = this.readSmall(path, host);
    this.#small.set(path, { bytes: bytes.slice(), host, visibleAtMs, before });
  }

  /** Catalogue and checkpoints are lost. */
  dropSmall(): void {
    this.#small.clear();
  }

  /** A host loses power. */
  lose(host: string): void {
    for (const file of this.files.values()) file.lose(host, this.#parts.clock.nowMs(), this.#parts.random);
  }

  #isNamed(file: SharedFile, host: string): boolean {
    return file.host === host || this.#parts.clock.nowMs() >= file.namedAtMs;
  }

  #draw(mostMs: number): number {
    return mostMs === 0 ? 0 : mostMs * this.#parts.random();
  }
}
