import {
  COMMIT_ROW_WORDS,
  completeFingerprint,
  type Directory,
  type DirectoryStats,
  type Fingerprint,
  fingerprintDifference,
  invariant,
  KEY_WORDS,
  type NamespacePolicy,
  type NamespaceRecord,
  RefillError,
  type SegmentRecord,
  type SegmentState,
} from '@refill/interface';
import { applyChanges } from '../protocol/catalogue-changes.ts';
import { MESSAGE } from '../protocol/message.ts';
import type { WordWriter } from '../protocol/words.ts';
import { encodeSmall } from '../record.ts';
import { findCertain } from './find-certain.ts';
import type { FindRemote } from './find-remote.ts';
import type { ServiceStats } from './heartbeat.ts';
import type { HeldLease } from './held-lease.ts';
import type { LastCheckpoint } from './last-checkpoint.ts';
import type { LocationCache } from './location-cache.ts';
import { renumbered } from './namespace-bindings.ts';
import type { NodeNotes } from './node-notes.ts';
import { madeAnew, type Persist } from './persist.ts';
import { readCounts } from './read-counts.ts';
import type { Replica } from './replica.ts';
import type { ServiceLink } from './service-link.ts';

/** Rows of one commit message: with its head it stays below `CONTROL_BYTES_MAX`. */
const COMMIT_ROWS = 4096;
const STATES: readonly SegmentState[] = ['open', 'sealed', 'abandoned', 'dead'];

export interface RemoteDirectoryParts {
  link: ServiceLink;
  lease: HeldLease;
  cache: LocationCache;
  checkpoint: LastCheckpoint;
  notes: NodeNotes;
  finder: FindRemote;
  persist: Persist;
}

/**
 * The directory as a node sees it that is not the metadata service: the catalogue from a replica, locations from a
 * cache, everything else asked for. Started and stopped with its `Cluster`.
 */
export class RemoteDirectory implements Directory {
  readonly #parts: RemoteDirectoryParts;
  #condemn: ReadonlySet<number> = new Set();
  #unlink: ReadonlySet<number> = new Set();
  #stats: ServiceStats = { indexBytes: 0, blocksBeyondMemory: 0, damaged: 0, engine: 'unknown' };
  #isOpen = false;

  constructor(parts: RemoteDirectoryParts) {
    this.#parts = parts;
  }

  /** As of the last answers: another node's commits show with the next heartbeat. */
  get stats(): DirectoryStats {
    const { namespaces, segments } = this.#replica;
    let blocks = 0;
    let bytes = 0;
    for (const namespace of namespaces.values()) {
      blocks += namespace.blocks;
      bytes += namespace.bytes;
    }
    return { ...this.#stats, blocks, bytes, segments: segments.size, namespaces: namespaces.size };
  }

  get version(): number {
    return this.#parts.link.localVersion;
  }

  start(): void {
    this.#isOpen = true;
  }

  stop(): void {
    this.#isOpen = false;
  }

  /** What a heartbeat brought: segments to reclaim, and statistics. */
  beat(condemn: Iterable<number>, unlink: Iterable<number>, stats: ServiceStats): void {
    this.#condemn = new Set(condemn);
    this.#unlink = new Set(unlink);
    this.#stats = stats;
  }

  async acquireEpoch(node: string): Promise<number> {
    this.#assertOpen();
    const fill = (writer: WordWriter): void => void writer.text(node);
    const { body } = await this.#parts.persist.run(MESSAGE.acquireEpoch, fill, { rows: 1 });
    return body.wide();
  }

  async openNamespace(
    fingerprint: Fingerprint,
    policy: Partial<NamespacePolicy> = {},
  ): Promise<NamespaceRecord> {
    const asked = completeFingerprint(fingerprint);
    this.#assertOpen();
    const known = this.#knownNamespace(asked, policy);
    if (known !== undefined) return known;
    const { body } = await this.#change(MESSAGE.openNamespace, (writer) =>
      writer.bytes(encodeSmall({ fingerprint: asked, policy })),
    );
    let opened: NamespaceRecord | undefined;
    const { link } = this.#parts;
    applyChanges(body, targetOf(link.replica, { namespace: (record) => (opened = record) }));
    invariant(opened !== undefined, 'the answer holds the namespace');
    const record = this.#replica.namespaces.get(opened.index);
    if (record === undefined) throw renumbered(opened);
    return record;
  }

  namespace(index: number): NamespaceRecord | undefined {
    return this.#replica.namespaces.get(index);
  }

  namespaces(): NamespaceRecord[] {
    return [...this.#replica.namespaces.values()];
  }

  async createSegment(segment: Parameters<Directory['createSegment']>[0]): Promise<SegmentRecord> {
    this.#assertOpen();
    const { id, namespace, node, epoch, sizeBytes, restored = false } = segment;
    invariant(this.segmentById(id)?.epoch !== epoch, 'a segment id is used once');
    const { body, isVoid } = await this.#change(MESSAGE.createSegment, (writer) => {
      writer
        .word(restored ? 1 : 0)
        .word(namespace)
        .wide(sizeBytes)
        .bytes(id)
        .text(node)
        .wide(epoch);
    });
    if (isVoid) throw madeAnew();
    applyChanges(body, targetOf(this.#replica, {}));
    const created = this.segmentById(id);
    invariant(created !== undefined, 'the answer holds the segment');
    return created;
  }

  async moveSegment(index: number, from: SegmentState, to: SegmentState, endBytes: number): Promise<boolean> {
    this.#assertOpen();
    const { body, again } = await this.#change(MESSAGE.moveSegment, (writer) =>
      writer.word(index).word(STATES.indexOf(from)).word(STATES.indexOf(to)).wide(endBytes),
    );
    if (body.word() === 1) return true;
    // The answer of a first try may have been lost.
    const record = this.segment(index);
    return again && record?.state === to && record.endBytes === endBytes;
  }

  async forgetSegment(index: number): Promise<void> {
    this.#assertOpen();
    await this.#change(MESSAGE.forgetSegment, (writer) => writer.word(index));
  }

  segment(index: number): SegmentRecord | undefined {
    return this.#replica.segments.get(index);
  }

  segmentById(id: Uint8Array): SegmentRecord | undefined {
    return this.#replica.segmentById(id);
  }

  segments(): SegmentRecord[] {
    return [...this.#replica.segments.values()];
  }

  /** As the service said with the last heartbeat, for this node only. */
  reclaimable(): SegmentRecord[] {
    const { segments } = this.#replica;
    return [...this.#condemn, ...this.#unlink].flatMap((index) => segments.get(index) ?? []);
  }

  mayUnlink(index: number): boolean {
    return this.#unlink.has(index) && this.segment(index)?.state === 'dead';
  }

  lookup(
    namespace: number,
    keys: Uint32Array,
    count: number,
    rows: Uint32Array,
    { certain = false }: { certain?: boolean } = {},
  ): void | Promise<void> {
    const { finder, persist } = this.#parts;
    if (certain) return findCertain(persist, namespace, keys, count, rows);
    return finder.lookup(namespace, keys, count, rows);
  }

  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number> {
    return this.#parts.finder.matchPrefix(namespace, keys, count);
  }

  /** Waits for the service while it is away, up to the deadline and bound of writes; see `Persist`. */
  async commit(
    node: string,
    epoch: number,
    rows: Uint32Array,
    count: number,
    accepted: Uint8Array,
    { durable = false }: { durable?: boolean } = {},
  ): Promise<void> {
    this.#assertOpen();
    const parts: Promise<void>[] = [];
    for (let from = 0; from < count; from += COMMIT_ROWS) {
      const length = Math.min(COMMIT_ROWS, count - from);
      const part = rows.subarray(from * COMMIT_ROW_WORDS, (from + length) * COMMIT_ROW_WORDS);
      parts.push(this.#commitPart(node, epoch, part, length, accepted.subarray(from), durable));
    }
    await Promise.all(parts);
  }

  async remove(namespace: number, keys: Uint32Array, count: number): Promise<number> {
    this.#assertOpen();
    const { cache, checkpoint } = this.#parts;
    const words = keys.subarray(0, count * KEY_WORDS);
    const fill = (writer: WordWriter): void => void writer.word(namespace).word(count).words(words);
    const { body } = await this.#change(MESSAGE.remove, fill, count);
    for (let i = 0; i < count; i++) {
      cache.remove(namespace, keys, i * KEY_WORDS);
      checkpoint.remove(namespace, keys.subarray(i * KEY_WORDS, (i + 1) * KEY_WORDS));
    }
    const removed = body.word();
    readCounts(body, this.#replica);
    return removed;
  }

  /** The location leaves the cache at once; the service is asked only while it is there. */
  async removeAt(
    namespace: number,
    key: Uint32Array,
    segment: number,
    offsetPages: number,
  ): Promise<boolean> {
    this.#assertOpen();
    const { link, cache, checkpoint } = this.#parts;
    cache.removeAt(namespace, key, segment, offsetPages);
    checkpoint.remove(namespace, key);
    if (link.isAway) return false;
    const { body } = await this.#change(MESSAGE.removeAt, (writer) =>
      writer.word(namespace).words(key.subarray(0, KEY_WORDS)).word(segment).word(offsetPages),
    );
    const removed = body.word() === 1;
    readCounts(body, this.#replica);
    return removed;
  }

  /** A name of another node's file that is not there yet says nothing about the block (R6): what is known here goes. */
  async removeGone(
    namespace: number,
    key: Uint32Array,
    segment: number,
    offsetPages: number,
  ): Promise<boolean> {
    const { lease, cache, checkpoint } = this.#parts;
    if (this.segment(segment)?.node === lease.node)
      return this.removeAt(namespace, key, segment, offsetPages);
    this.#assertOpen();
    cache.removeAt(namespace, key, segment, offsetPages);
    checkpoint.remove(namespace, key);
    return false;
  }

  touch(entries: Uint32Array, count: number): void {
    this.#parts.notes.touch(entries, count);
  }

  /** Recency is remembered where eviction is decided: by the service. */
  lastUsedMs(): number | undefined {
    return undefined;
  }

  async reset(): Promise<void> {
    this.#assertOpen();
    await this.#change(MESSAGE.reset, () => {});
  }

  async checkpoint(): Promise<void> {
    this.#assertOpen();
    await this.#parts.persist.run(MESSAGE.checkpoint, () => {}, { rows: 1 });
  }

  async #commitPart(
    node: string,
    epoch: number,
    rows: Uint32Array,
    count: number,
    accepted: Uint8Array,
    durable: boolean,
  ): Promise<void> {
    const { persist, lease, cache, link } = this.#parts;
    const { body, now } = await persist.run(
      MESSAGE.commit,
      (writer) =>
        writer
          .text(node)
          .wide(epoch)
          .word(durable ? 1 : 0)
          .word(count)
          .words(rows),
      {
        rows: count,
        epoch: node === lease.node ? epoch : undefined,
        namesIndexes: true,
        capacity: rows.length + 64,
      },
    );
    accepted.set(body.bytes(count));
    readCounts(body, this.#replica);
    if (!link.mayCache(now)) return;
    for (let i = 0; i < count; i++) if (accepted[i] === 1) cache.addCommitted(rows, i);
  }

  /** A change in this node's name, under its lease as it is when the message is made. */
  #change(type: number, fill: (writer: WordWriter) => void, rows = 1): ReturnType<Persist['run']> {
    const { persist, lease } = this.#parts;
    return persist.run(
      type,
      (writer) => {
        writer.text(lease.node).wide(lease.epoch);
        fill(writer);
      },
      { rows, namesIndexes: !NAMES_NO_INDEX.has(type), capacity: 64 + rows * KEY_WORDS },
    );
  }

  #knownNamespace(
    asked: Required<Fingerprint>,
    policy: Partial<NamespacePolicy>,
  ): NamespaceRecord | undefined {
    for (const namespace of this.#replica.namespaces.values()) {
      const { fingerprint } = namespace;
      if (fingerprint.owner !== asked.owner || fingerprint.name !== asked.name) continue;
      const isSame = fingerprintDifference(fingerprint, asked) === undefined;
      const isAsked = (policy.compress ?? namespace.policy.compress) === namespace.policy.compress;
      return isSame && isAsked ? namespace : undefined;
    }
    return undefined;
  }

  get #replica(): Replica {
    return this.#parts.link.replica;
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new RefillError('ERR_NODE_CLOSED', 'the directory is not started');
  }
}

/** Changes that mean the same in every directory. */
const NAMES_NO_INDEX: ReadonlySet<number> = new Set([MESSAGE.openNamespace, MESSAGE.reset]);

/** Changes in the body of an answer go to the replica; `also` hears of them too. */
function targetOf(
  replica: Replica,
  also: { namespace?: (record: NamespaceRecord) => void },
): Parameters<typeof applyChanges>[1] {
  return {
    namespace: (record) => {
      replica.namespace(record);
      also.namespace?.(record);
    },
    segment: (record) => replica.segment(record),
    segmentGone: (index) => replica.segmentGone(index),
    member: (member) => replica.member(member),
    memberGone: (slot) => replica.memberGone(slot),
    removed: (namespace, key) => replica.removed(namespace, key),
  };
}
