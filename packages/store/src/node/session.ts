import {
  completeFingerprint,
  type Durability,
  type FillId,
  type Fingerprint,
  type NamespacePolicy,
  type NamespaceRecord,
  type NodeResidency,
  type NodeSession,
  type ReadExplanation,
  RefillError,
  type RegionId,
} from '@refill/interface';
import { acquireFill, releaseFill } from './acquire-fill.ts';
import { awaitFill } from './await-fill.ts';
import { awaitStored } from './await-stored.ts';
import { abort, commit } from './commit.ts';
import { deleteBlocks } from './delete.ts';
import { explain } from './explain.ts';
import { flush } from './flush.ts';
import { get } from './get.ts';
import { getInto } from './get-into.ts';
import { pin, release, touch, unpin } from './keep.ts';
import { locate } from './locate.ts';
import { lookup } from './lookup.ts';
import { prefetch } from './prefetch.ts';
import { exists, matchPrefix } from './presence.ts';
import { putFrom } from './put-from.ts';
import { reserve } from './reserve.ts';
import { checkOpen, type SessionState } from './session-state.ts';

/** One client's view of the node: every call is a step of its own file, over what the session holds. */
export class Session implements NodeSession {
  readonly #state: SessionState;
  readonly #closed: () => void;

  constructor(state: SessionState, closed: () => void) {
    this.#state = state;
    this.#closed = closed;
  }

  async openNamespace(fingerprint: Fingerprint, policy?: Partial<NamespacePolicy>): Promise<NamespaceRecord> {
    checkOpen(this.#state);
    try {
      completeFingerprint(fingerprint);
    } catch (cause) {
      throw new RefillError('ERR_INVALID_ARGUMENT', (cause as Error).message, { cause });
    }
    const record = await this.#state.core.directory.openNamespace(fingerprint, policy);
    checkOpen(this.#state);
    this.#state.namespaces.set(record.index, record.id);
    return record;
  }

  reserve(namespace: number, puts: Uint32Array, count: number, rows: Uint32Array): void | Promise<void> {
    return reserve(this.#state, namespace, puts, count, rows);
  }

  commit(
    slots: Uint32Array,
    count: number,
    durability: Durability,
    deadlineMs: number,
    statuses: Uint32Array,
  ): void | Promise<void> {
    return commit(this.#state, slots, count, durability, deadlineMs, statuses);
  }

  awaitStored(
    namespace: number,
    keys: Uint32Array,
    count: number,
    deadlineMs: number,
    statuses: Uint32Array,
  ): void | Promise<void> {
    return awaitStored(this.#state, namespace, keys, count, deadlineMs, statuses);
  }

  abort(slots: Uint32Array, count: number): void {
    abort(this.#state, slots, count);
  }

  putFrom(
    namespace: number,
    region: RegionId,
    puts: Uint32Array,
    places: Uint32Array,
    count: number,
    durability: Durability,
    deadlineMs: number,
    statuses: Uint32Array,
  ): void | Promise<void> {
    return putFrom(this.#state, namespace, region, puts, places, count, durability, deadlineMs, statuses);
  }

  get(
    namespace: number,
    keys: Uint32Array,
    count: number,
    deadlineMs: number,
    rows: Uint32Array,
  ): void | Promise<void> {
    return get(this.#state, namespace, keys, count, deadlineMs, rows);
  }

  getInto(
    namespace: number,
    region: RegionId,
    keys: Uint32Array,
    places: Uint32Array,
    count: number,
    deadlineMs: number,
    rows: Uint32Array,
  ): void | Promise<void> {
    return getInto(this.#state, namespace, region, keys, places, count, deadlineMs, rows);
  }

  release(slots: Uint32Array, count: number): void {
    release(this.#state, slots, count);
  }

  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number> {
    return matchPrefix(this.#state, namespace, keys, count);
  }

  exists(namespace: number, keys: Uint32Array, count: number, present: Uint8Array): void | Promise<void> {
    return exists(this.#state, namespace, keys, count, present);
  }

  lookup(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void | Promise<void> {
    return lookup(this.#state, namespace, keys, count, rows);
  }

  locate(
    namespace: number,
    keys: Uint32Array,
    count: number,
    limit: number,
    deadlineMs: number,
  ): NodeResidency[] | Promise<NodeResidency[]> {
    return locate(this.#state, namespace, keys, count, limit, deadlineMs);
  }

  explain(namespace: number, keys: Uint32Array, count: number): ReadExplanation | Promise<ReadExplanation> {
    return explain(this.#state, namespace, keys, count);
  }

  acquireFill(
    namespace: number,
    keys: Uint32Array,
    count: number,
    lifeMs: number,
    deadlineMs: number,
    rows: Uint32Array,
  ): Promise<FillId> {
    return acquireFill(this.#state, namespace, keys, count, lifeMs, deadlineMs, rows);
  }

  awaitFill(namespace: number, keys: Uint32Array, count: number, deadlineMs: number): Promise<number> {
    return awaitFill(this.#state, namespace, keys, count, deadlineMs);
  }

  releaseFill(fill: FillId): void {
    checkOpen(this.#state);
    releaseFill(this.#state, fill);
  }

  prefetch(namespace: number, keys: Uint32Array, count: number): number | Promise<number> {
    return prefetch(this.#state, namespace, keys, count);
  }

  pin(namespace: number, keys: Uint32Array, count: number, deadlineMs: number): number | Promise<number> {
    return pin(this.#state, namespace, keys, count, deadlineMs);
  }

  unpin(namespace: number, keys: Uint32Array, count: number): number {
    return unpin(this.#state, namespace, keys, count);
  }

  touch(namespace: number, keys: Uint32Array, count: number): void {
    touch(this.#state, namespace, keys, count);
  }

  delete(namespace: number, keys: Uint32Array, count: number, deadlineMs: number): Promise<number> {
    return deleteBlocks(this.#state, namespace, keys, count, deadlineMs);
  }

  flush(deadlineMs: number): Promise<number> {
    return flush(this.#state, deadlineMs);
  }

  async registerRegion(source: { path: string } | { fd: number }, sizeBytes: number): Promise<RegionId> {
    checkOpen(this.#state);
    const { core, number } = this.#state;
    return core.regions.attach(number, source, sizeBytes, () => this.#state.isClosed);
  }

  async unregisterRegion(region: RegionId): Promise<void> {
    checkOpen(this.#state);
    const { core, number } = this.#state;
    await core.regions.detach(core.regions.get(number, region));
  }

  close(): void {
    const state = this.#state;
    if (state.isClosed) return;
    state.isClosed = true;
    const { tier, regions } = state.core;
    for (const call of [...state.waiting]) call.cancel();
    const unpinAll = (id: number, count: number): void => {
      for (let i = 0; i < count; i++) tier.unpin(id);
    };
    state.pins.forEach(unpinAll);
    state.pins.clear();
    state.kept.forEach(unpinAll);
    state.kept.clear();
    state.reservations.forEach((id) => {
      tier.drop(id);
    });
    state.reservations.clear();
    for (const fill of [...state.fills]) releaseFill(state, fill);
    regions.detachAll(state.number);
    this.#closed();
  }
}
