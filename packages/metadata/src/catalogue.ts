import type {
  EngineOp,
  Fingerprint,
  MetadataEngine,
  NamespacePolicy,
  NamespaceRecord,
  SegmentRecord,
  SegmentState,
} from '@refill/interface';
import {
  completeFingerprint,
  fingerprintDifference,
  invariant,
  NAMESPACES_MAX,
  namespaceId,
  RefillError,
} from '@refill/interface';
import {
  decodeSmall,
  encodeNamespace,
  encodeSmall,
  epochKey,
  FORMAT_KEY,
  type NamespaceFields,
  namespaceKey,
  nodeOfEpochKey,
  type SegmentFields,
  SPACE,
  segmentKey,
  spaceRange,
} from './record.ts';
import { CHANGE, ChangeLog } from './service/change-log.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
export type LiveNamespace = Mutable<NamespaceRecord>;
export type LiveSegment = Mutable<SegmentRecord>;

/**
 * The small hard state: epochs, namespaces, segments, and how many live blocks each of them has. The engine holds
 * it durably, memory holds all of it; every change is written to the engine before memory shows it. Live counts are
 * not stored: they are added up when the block index is loaded, so that they cannot drift.
 */
export class Catalogue {
  readonly epochs: Map<string, number> = new Map();
  readonly namespaces: Map<number, LiveNamespace> = new Map();
  readonly segments: Map<number, LiveSegment> = new Map();
  readonly changes: ChangeLog = new ChangeLog();
  readonly #segmentIds = new Map<string, LiveSegment>();
  readonly #engine: MetadataEngine;
  readonly #draw: () => number;
  #nextSegment = 0;
  #incarnation = 0;

  /** `draw` gives random whole numbers from 1 to 2^53 - 1. */
  constructor(engine: MetadataEngine, draw: () => number) {
    this.#engine = engine;
    this.#draw = draw;
  }

  /**
   * Stands for this life of the indexes of namespaces and segments: another one after a reset, or when the engine was
   * lost, so that nobody takes an index of before for one of now.
   */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** Reads everything from the engine; false when the engine is empty. */
  async load(): Promise<boolean> {
    this.forget();
    this.epochs.clear();
    const [format] = await this.#engine.getMany([FORMAT_KEY]);
    if (format === undefined) return false;
    const fields = decodeSmall<{ nextSegment: number; incarnation?: number }>(
      format,
      'the metadata database',
    );
    this.#nextSegment = fields.nextSegment;
    this.#incarnation = fields.incarnation ?? 0;
    // A database from before there were incarnations.
    if (this.#incarnation === 0) await this.#newIncarnation();
    for await (const chunk of this.#engine.scan(spaceRange(SPACE.epoch))) {
      for (const [key, value] of chunk) {
        this.epochs.set(nodeOfEpochKey(key), decodeSmall<{ epoch: number }>(value, 'an epoch').epoch);
      }
    }
    for await (const chunk of this.#engine.scan(spaceRange(SPACE.namespace))) {
      for (const [, value] of chunk) this.#addNamespace(decodeSmall<NamespaceFields>(value, 'a namespace'));
    }
    for await (const chunk of this.#engine.scan(spaceRange(SPACE.segment))) {
      for (const [, value] of chunk) this.#addSegment(decodeSmall<SegmentFields>(value, 'a segment'));
    }
    return true;
  }

  /** Fills an empty engine with what the copy on the shared file system remembers. */
  async restore(epochs: ReadonlyMap<string, number>, namespaces: readonly NamespaceFields[]): Promise<void> {
    this.#incarnation = this.#draw();
    const ops: EngineOp[] = [this.#formatOp(0)];
    for (const [node, epoch] of epochs) ops.push({ key: epochKey(node), value: encodeSmall({ epoch }) });
    for (const fields of namespaces)
      ops.push({ key: namespaceKey(fields.index), value: encodeNamespace(fields) });
    await this.#engine.write(ops, { durable: true });
    for (const [node, epoch] of epochs) this.epochs.set(node, epoch);
    for (const fields of namespaces) this.#addNamespace(fields);
  }

  /**
   * Takes over what a copy remembers and a database that was set back does not, under the same index where that is free:
   * a node may hold it.
   */
  async adoptNamespaces(remembered: readonly NamespaceFields[]): Promise<void> {
    const known = new Set([...this.namespaces.values()].map(({ fingerprint }) => nameOf(fingerprint)));
    const missing = remembered.filter(
      ({ index, fingerprint }) => !this.namespaces.has(index) && !known.has(nameOf(fingerprint)),
    );
    if (missing.length === 0) return;
    const ops = missing.map((fields) => ({
      key: namespaceKey(fields.index),
      value: encodeNamespace(fields),
    }));
    await this.#engine.write(ops, { durable: true });
    for (const fields of missing) this.#addNamespace(fields);
  }

  /** Above those of all nodes, and `above`: so that (epoch, sequence) orders what nodes wrote one after the other. */
  async raiseEpoch(node: string, above = 0): Promise<number> {
    const key = epochKey(node);
    for (;;) {
      const [value] = await this.#engine.getMany([key]);
      const stored = value === undefined ? 0 : decodeSmall<{ epoch: number }>(value, 'an epoch').epoch;
      const epoch = Math.max(stored, above, ...this.epochs.values()) + 1;
      const expect = value === undefined ? { absent: true as const } : { equals: value };
      const [raised] = await this.#engine.write([{ key, value: encodeSmall({ epoch }), expect }], {
        durable: true,
      });
      if (raised !== true) continue;
      this.epochs.set(node, epoch);
      return epoch;
    }
  }

  /** The namespace of this owner and name. `ERR_FINGERPRINT_MISMATCH` when it differs in anything else. */
  findNamespace(fingerprint: Fingerprint): LiveNamespace | undefined {
    const asked = completeFingerprint(fingerprint);
    for (const namespace of this.namespaces.values()) {
      const found = namespace.fingerprint;
      if (found.owner !== asked.owner || found.name !== asked.name) continue;
      const field = fingerprintDifference(found, asked);
      if (field === undefined) return namespace;
      const [was, is] = [found, asked].map((side) => JSON.stringify(side[field as keyof Fingerprint]));
      throw new RefillError(
        'ERR_FINGERPRINT_MISMATCH',
        `namespace ${found.owner}:${found.name} exists with another fingerprint: ${field} is ${was} there, ${is} was asked for`,
        { fix: 'Ask with the fingerprint it was made with, or use another name' },
      );
    }
    return undefined;
  }

  async createNamespace(fingerprint: Fingerprint, policy: NamespacePolicy): Promise<LiveNamespace> {
    let index = 0;
    while (this.namespaces.has(index)) index++;
    if (index >= NAMESPACES_MAX) {
      throw new RefillError('ERR_LIMIT', `a root holds at most ${NAMESPACES_MAX} namespaces`);
    }
    const fields = { index, fingerprint: completeFingerprint(fingerprint), policy };
    await this.#engine.write([{ key: namespaceKey(index), value: encodeNamespace(fields) }], {
      durable: true,
    });
    return this.#addNamespace(fields);
  }

  async setPolicy(namespace: LiveNamespace, policy: NamespacePolicy): Promise<void> {
    const value = encodeNamespace({ ...namespace, policy });
    await this.#engine.write([{ key: namespaceKey(namespace.index), value }], { durable: true });
    namespace.policy = policy;
    this.changes.note(CHANGE.namespace, namespace.index);
  }

  /** The counter goes first: a crash between the two skips an index and never gives one out twice. */
  async createSegment(fields: Omit<SegmentFields, 'index' | 'state' | 'endBytes'>): Promise<LiveSegment> {
    invariant(!this.#segmentIds.has(fields.id), 'a segment id is used once');
    const segment: SegmentFields = { ...fields, index: this.#nextSegment++, state: 'open', endBytes: 0 };
    const ops = [
      this.#formatOp(this.#nextSegment),
      { key: segmentKey(segment.index), value: encodeSmall(segment) },
    ];
    await this.#engine.write(ops, { durable: true });
    return this.#addSegment(segment);
  }

  /**
   * Memory changes first and shuts the door for commits; it opens again should the engine refuse. A segment that is not
   * open is not read by recovery, so its state never survives a crash without the records of its blocks.
   */
  async moveSegment(segment: LiveSegment, to: SegmentState, endBytes: number): Promise<void> {
    const before = { state: segment.state, endBytes: segment.endBytes };
    Object.assign(segment, { state: to, endBytes });
    this.changes.note(CHANGE.segment, segment.index);
    try {
      const { index, namespace, node, epoch, sizeBytes, durableCommits } = segment;
      const fields = {
        ...{ index, id: hex(segment.id), namespace, node, epoch, sizeBytes, state: to, endBytes },
        ...(durableCommits === true && { durableCommits }),
      };
      const ops = [{ key: segmentKey(index), value: encodeSmall(fields) }];
      await this.#engine.write(ops, { durable: true, barrier: true });
    } catch (error) {
      Object.assign(segment, before);
      this.changes.note(CHANGE.segment, segment.index);
      throw error;
    }
  }

  async forgetSegment(segment: LiveSegment): Promise<void> {
    await this.#engine.write([{ key: segmentKey(segment.index), value: undefined }], { durable: true });
    this.segments.delete(segment.index);
    this.#segmentIds.delete(hex(segment.id));
    this.changes.note(CHANGE.segment, segment.index);
  }

  segmentById(id: Uint8Array): LiveSegment | undefined {
    return this.#segmentIds.get(hex(id));
  }

  /** Counts blocks in (`blocks` 1) or out (-1). */
  count(segment: number, storedBytes: number, blocks: 1 | -1): void {
    const record = this.segments.get(segment);
    invariant(record !== undefined, `segment ${segment} of a block is in the catalogue`);
    const namespace = this.namespaces.get(record.namespace);
    invariant(
      namespace !== undefined,
      `namespace ${record.namespace} of segment ${segment} is in the catalogue`,
    );
    record.liveBlocks += blocks;
    record.liveBytes += blocks * storedBytes;
    namespace.blocks += blocks;
    namespace.bytes += blocks * storedBytes;
  }

  /**
   * Drops segments; epochs, namespaces with their indexes (K6: a session may hold one) and the counter of segments stay.
   * Durably another incarnation on return.
   */
  async renew(): Promise<void> {
    await this.#newIncarnation();
    this.changes.forget();
    this.segments.clear();
    this.#segmentIds.clear();
    for (const namespace of this.namespaces.values()) Object.assign(namespace, { blocks: 0, bytes: 0 });
  }

  /** Drops namespaces and segments from memory, before they are loaded; epochs and the counter of segments stay. */
  forget(): void {
    this.changes.forget();
    this.namespaces.clear();
    this.segments.clear();
    this.#segmentIds.clear();
  }

  #formatOp(nextSegment: number): EngineOp {
    return { key: FORMAT_KEY, value: encodeSmall({ nextSegment, incarnation: this.#incarnation }) };
  }

  async #newIncarnation(): Promise<void> {
    this.#incarnation = this.#draw();
    await this.#engine.write([this.#formatOp(this.#nextSegment)], { durable: true });
  }

  #addNamespace({ index, fingerprint, policy }: NamespaceFields): LiveNamespace {
    const namespace = { index, id: namespaceId(fingerprint), fingerprint, policy, blocks: 0, bytes: 0 };
    this.namespaces.set(index, namespace);
    this.changes.note(CHANGE.namespace, index);
    return namespace;
  }

  #addSegment(fields: SegmentFields): LiveSegment {
    const { index, namespace, node, epoch, sizeBytes, state, endBytes, durableCommits } = fields;
    const id = new Uint8Array(Buffer.from(fields.id, 'hex'));
    const record = {
      index,
      id,
      namespace,
      node,
      epoch,
      sizeBytes,
      state,
      endBytes,
      liveBlocks: 0,
      liveBytes: 0,
      ...(durableCommits === true && { durableCommits }),
    };
    this.segments.set(index, record);
    this.#segmentIds.set(fields.id, record);
    this.changes.note(CHANGE.segment, index);
    return record;
  }
}

/** Owner and name, which one namespace of a root has. */
function nameOf({ owner, name }: Required<Fingerprint>): string {
  return `${owner}:${name}`;
}

export function hex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
