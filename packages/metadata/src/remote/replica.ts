import type { ClusterMember, NamespaceRecord, SegmentRecord } from '@refill/interface';
import { hex } from '../catalogue.ts';
import type { ChangeTarget } from '../protocol/catalogue-changes.ts';
import type { Stamp } from '../protocol/message.ts';
import type { NamespaceBindings } from './namespace-bindings.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What a node knows of the catalogue: as of `stamp`, brought up to date by every answer. */
export class Replica implements ChangeTarget {
  readonly namespaces: Map<number, Mutable<NamespaceRecord>> = new Map();
  readonly segments: Map<number, Mutable<SegmentRecord>> = new Map();
  readonly members: Map<number, ClusterMember> = new Map();
  stamp: Stamp = { session: 0, version: 0, incarnation: 0 };
  readonly #segmentIds = new Map<string, Mutable<SegmentRecord>>();
  readonly #onRemoved: (namespace: number, key: Uint32Array) => void;
  readonly #bindings: NamespaceBindings;

  constructor(onRemoved: (namespace: number, key: Uint32Array) => void, bindings: NamespaceBindings) {
    this.#onRemoved = onRemoved;
    this.#bindings = bindings;
  }

  segmentById(id: Uint8Array): SegmentRecord | undefined {
    return this.#segmentIds.get(hex(id));
  }

  /** One whose index meant another namespace before is not taken: blocks and sessions of this process hold the index. */
  namespace(record: NamespaceRecord): void {
    if (this.#bindings.bind(record)) this.namespaces.set(record.index, record);
  }

  /** Whether an index meant a namespace that the directory does not know (any more) under it. */
  isVoid(namespace: number): boolean {
    return !this.namespaces.has(namespace) && this.#bindings.knows(namespace);
  }

  segment(record: SegmentRecord): void {
    const known = this.segments.get(record.index);
    if (known !== undefined) {
      // The same object goes on: writers and readers hold it.
      Object.assign(known, record);
      return;
    }
    this.segments.set(record.index, record);
    this.#segmentIds.set(hex(record.id), record);
  }

  segmentGone(index: number): void {
    const known = this.segments.get(index);
    if (known === undefined) return;
    this.segments.delete(index);
    this.#segmentIds.delete(hex(known.id));
  }

  member(member: ClusterMember): void {
    this.members.set(member.slot, member);
  }

  memberGone(slot: number): void {
    this.members.delete(slot);
  }

  removed(namespace: number, key: Uint32Array): void {
    this.#onRemoved(namespace, key);
  }

  /** Whether a block there may be read: its segment is known and not condemned. */
  isReadable(segment: number): boolean {
    const record = this.segments.get(segment);
    return record !== undefined && record.state !== 'dead';
  }
}
