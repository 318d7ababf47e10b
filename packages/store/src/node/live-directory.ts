import {
  type Directory,
  type DirectoryStats,
  type Fingerprint,
  KEY_WORDS,
  LOCATION_ROW_WORDS,
  type NamespacePolicy,
  type NamespaceRecord,
  type SegmentRecord,
} from '@refill/interface';
import type { Expiry } from './expiry.ts';

/** What the steps of a call use of the directory. */
export type NodeDirectory = Pick<
  Directory,
  'lookup' | 'matchPrefix' | 'touch' | 'openNamespace' | 'namespace' | 'namespaces' | 'segment' | 'stats'
>;

/** The directory without the blocks whose life has ended and whose deletion is still on its way. */
export class LiveDirectory implements NodeDirectory {
  readonly #directory: NodeDirectory;
  readonly #expiry: Expiry;

  constructor(directory: NodeDirectory, expiry: Expiry) {
    this.#directory = directory;
    this.#expiry = expiry;
  }

  get stats(): DirectoryStats {
    return this.#directory.stats;
  }

  lookup(
    namespace: number,
    keys: Uint32Array,
    count: number,
    rows: Uint32Array,
    options?: Parameters<Directory['lookup']>[4],
  ): void | Promise<void> {
    const waiting = this.#directory.lookup(namespace, keys, count, rows, options);
    if (waiting !== undefined) return waiting.then(() => this.#hide(namespace, keys, count, rows));
    this.#hide(namespace, keys, count, rows);
  }

  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number> {
    const length = this.#directory.matchPrefix(namespace, keys, count);
    if (typeof length !== 'number') return length.then((found) => this.#cut(namespace, keys, found));
    return this.#cut(namespace, keys, length);
  }

  touch(entries: Uint32Array, count: number): void {
    this.#directory.touch(entries, count);
  }

  openNamespace(fingerprint: Fingerprint, policy?: Partial<NamespacePolicy>): Promise<NamespaceRecord> {
    return this.#directory.openNamespace(fingerprint, policy);
  }

  namespace(index: number): NamespaceRecord | undefined {
    return this.#directory.namespace(index);
  }

  namespaces(): NamespaceRecord[] {
    return this.#directory.namespaces();
  }

  segment(index: number): SegmentRecord | undefined {
    return this.#directory.segment(index);
  }

  #hide(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void {
    if (!this.#expiry.hidesAny) return;
    for (let i = 0; i < count; i++) {
      if (!this.#expiry.isHidden(namespace, keys, i * KEY_WORDS)) continue;
      rows.fill(0, i * LOCATION_ROW_WORDS, (i + 1) * LOCATION_ROW_WORDS);
    }
  }

  #cut(namespace: number, keys: Uint32Array, length: number): number {
    if (!this.#expiry.hidesAny) return length;
    for (let i = 0; i < length; i++) if (this.#expiry.isHidden(namespace, keys, i * KEY_WORDS)) return i;
    return length;
  }
}
