import { type Clock, invariant, RefillError } from '@refill/interface';
import { hex } from '../catalogue.ts';
import { applyChanges } from '../protocol/catalogue-changes.ts';
import { ANSWER, MESSAGE, readAnswerHead, type Stamp, startRequest } from '../protocol/message.ts';
import { WordReader, type WordWriter } from '../protocol/words.ts';
import type { HeardRemovals } from './heard-removals.ts';
import type { LocationCache } from './location-cache.ts';
import { NamespaceBindings } from './namespace-bindings.ts';
import { Replica } from './replica.ts';

/** One request to the metadata service and its answer, by whatever way; rejects as `ControlNetwork.request` does. */
export interface ServiceChannel {
  request(body: Uint8Array, deadlineMs: number): Promise<Uint8Array>;
}

/** An answer whose changes are applied. */
export interface Answer {
  readonly body: WordReader;
  readonly now: Stamp;
  /** The directory was made anew since this was asked: indexes in the request meant nothing, and it was not done. */
  readonly isVoid: boolean;
}

/** One page of a copy, and one request in general, may take so long. */
const SYNC_MS = 5000;

/**
 * Requests to the metadata service, and the replica of its catalogue: each answer is handed on only when the replica
 * is at least as new (invariant K1). While the service does not answer it is `away`: requests that can be spared fail
 * at once, until one that cannot (a heartbeat) gets through.
 */
export class ServiceLink {
  replica: Replica;
  /** Called when a whole copy was taken from a service that is another one, or forgot; `isNew`: all indexes are void. */
  onAnew: ((isNewDirectory: boolean) => void) | undefined;
  /** Told of each block that was deleted, once it has left the cache; and of some that are not named. */
  onRemoved: ((namespace: number, key: Uint32Array) => void) | undefined;
  onRemovalsMissed: ((isNewDirectory: boolean) => void) | undefined;
  readonly #channel: ServiceChannel;
  readonly #clock: Clock;
  readonly #cache: LocationCache;
  readonly #bindings = new NamespaceBindings();
  #copying: Promise<void> | undefined;
  #isAway = false;
  #backWaits: (() => void)[] = [];
  /** Versions of former sessions are below those of this one: see `localVersion`. */
  #versionBase = 0;
  /** Service version up to which removals were applied: older answers do not fill the cache. */
  #removedVersion = 0;
  #sawRemoval = false;
  /** Version of the answer whose changes are being applied. */
  #applying = 0;
  readonly #heard: HeardRemovals;

  constructor(parts: {
    channel: ServiceChannel;
    clock: Clock;
    cache: LocationCache;
    heard: HeardRemovals;
  }) {
    this.#channel = parts.channel;
    this.#clock = parts.clock;
    this.#cache = parts.cache;
    this.#heard = parts.heard;
    this.replica = this.#emptyReplica();
  }

  get isAway(): boolean {
    return this.#isAway;
  }

  /** Version of the replica as a number that only grows, also over restarts of the service. */
  get localVersion(): number {
    return this.#versionBase + this.replica.stamp.version;
  }

  /** The service's version for a local one; 0 for one of a former session. */
  serviceVersion(localVersion: number): number {
    return Math.max(0, localVersion - this.#versionBase);
  }

  /** Whether locations of this answer may be remembered: nothing was removed since, as far as is known. */
  mayCache({ session, version, incarnation }: Stamp): boolean {
    const { stamp } = this.replica;
    return session === stamp.session && incarnation === stamp.incarnation && version >= this.#removedVersion;
  }

  /**
   * One request. `fill` writes its body. Rejects with `ERR_METADATA_UNAVAILABLE` when the service is away or does not
   * answer, `ERR_DEADLINE` at the deadline, and with what the service refuses. `urgent` asks although it is away.
   */
  async request(
    type: number,
    fill: (writer: WordWriter) => void,
    deadlineMs: number,
    { urgent = false, capacity = 64 }: { urgent?: boolean; capacity?: number } = {},
  ): Promise<Answer> {
    if (this.#isAway && !urgent) throw unavailable('it did not answer before');
    const endsAtMs = this.#clock.nowMs() + deadlineMs;
    const asked = this.replica.stamp;
    const writer = startRequest(type, asked, capacity);
    fill(writer);
    const bytes = await this.#send(writer.finish(), deadlineMs);
    const reader = new WordReader(bytes);
    const { flags, now, changes } = readAnswerHead(reader);
    this.#apply(flags, now, changes);
    if (this.#isBehind(flags, now)) await this.#within(this.#catchUp(), endsAtMs);
    return { body: reader, now, isVoid: now.incarnation !== asked.incarnation };
  }

  /** Settles when the service is there again; rejects at the deadline. */
  async whenBack(deadlineMs: number): Promise<void> {
    if (!this.#isAway) return;
    await new Promise<void>((resolve, reject) => {
      const wake = (): void => {
        cancel();
        resolve();
      };
      const cancel = this.#clock.after(deadlineMs, () => {
        this.#backWaits = this.#backWaits.filter((other) => other !== wake);
        reject(unavailable(`it did not come back in ${deadlineMs} ms`));
      });
      this.#backWaits.push(wake);
    });
  }

  async #send(body: Uint8Array, deadlineMs: number): Promise<Uint8Array> {
    try {
      const answer = await this.#channel.request(body, Math.max(1, deadlineMs));
      this.#isAway = false;
      for (const wake of this.#backWaits.splice(0)) wake();
      return answer;
    } catch (error) {
      if (!(error instanceof RefillError)) throw error;
      if (error.code === 'ERR_DEADLINE') this.#isAway = true;
      if (!UNREACHABLE.has(error.code)) throw error;
      this.#isAway = true;
      throw unavailable(error.message, error);
    }
  }

  /** Changes are told from what was known: an answer that was overtaken says nothing new. */
  #apply(flags: number, now: Stamp, changes: Uint32Array): void {
    const { stamp } = this.replica;
    if ((flags & ANSWER.copy) !== 0 || now.session !== stamp.session) return;
    if (now.version <= stamp.version) return;
    this.#applying = now.version;
    applyChanges(new WordReader(changes), this.replica);
    if ((flags & ANSWER.dropLocations) !== 0) this.#missRemovals(now, false);
    if (this.#sawRemoval || (flags & ANSWER.dropLocations) !== 0) this.#removedVersion = now.version;
    this.#sawRemoval = false;
    this.replica.stamp = { ...now };
  }

  #isBehind(flags: number, now: Stamp): boolean {
    const { stamp } = this.replica;
    if (now.session !== stamp.session || now.incarnation !== stamp.incarnation) return true;
    return (flags & ANSWER.more) !== 0 || now.version > stamp.version;
  }

  /** Asks until nothing is left to be told; callers share one. */
  #catchUp(): Promise<void> {
    this.#copying ??= this.#sync().finally(() => {
      this.#copying = undefined;
    });
    return this.#copying;
  }

  async #sync(): Promise<void> {
    for (;;) {
      const writer = startRequest(MESSAGE.sync, this.replica.stamp).word(0);
      const { flags, now, changes } = readAnswerHead(
        new WordReader(await this.#send(writer.finish(), SYNC_MS)),
      );
      if ((flags & ANSWER.copy) !== 0) {
        await this.#copy();
        continue;
      }
      this.#apply(flags, now, changes);
      if (!this.#isBehind(flags, now)) return;
    }
  }

  /** Takes a whole copy beside the old replica, which answers until the new one is complete. */
  async #copy(): Promise<void> {
    const replica = this.#emptyReplica();
    let base: Stamp | undefined;
    for (let from = 0; from >= 0; ) {
      const writer = startRequest(MESSAGE.sync, this.replica.stamp).word(1).word(from);
      const reader = new WordReader(await this.#send(writer.finish(), SYNC_MS));
      const { now } = readAnswerHead(reader);
      base ??= now;
      // The service was restarted or reset in between: from the start again.
      if (now.session !== base.session || now.incarnation !== base.incarnation) return;
      from = reader.word() - 1;
      applyChanges(reader, replica);
    }
    invariant(base !== undefined, 'a copy has a first page');
    replica.stamp = base;
    const before = this.replica;
    this.#versionBase = this.localVersion;
    const isNewDirectory = before.stamp.incarnation !== base.incarnation;
    if (!isNewDirectory) keepRecords(before, replica);
    // Removals meanwhile are not known one by one.
    this.#missRemovals(base, isNewDirectory);
    this.#removedVersion = base.version;
    this.replica = replica;
    this.onAnew?.(isNewDirectory);
  }

  #missRemovals(now: Stamp, isNewDirectory: boolean): void {
    this.#cache.clear();
    this.#heard.missed(now);
    this.onRemovalsMissed?.(isNewDirectory);
  }

  #emptyReplica(): Replica {
    return new Replica((namespace, key) => {
      this.#cache.remove(namespace, key, 0);
      this.#heard.note(namespace, key, this.#applying);
      this.#sawRemoval = true;
      this.onRemoved?.(namespace, key);
    }, this.#bindings);
  }

  #within(work: Promise<void>, endsAtMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(Math.max(1, endsAtMs - this.#clock.nowMs()), () =>
        reject(new RefillError('ERR_DEADLINE', 'the copy of the catalogue took too long')),
      );
      work.then(resolve, reject).finally(cancel);
    });
  }
}

/** What of the control network means that the service is not there. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  'ERR_PEER_UNREACHABLE',
  'ERR_NODE_CLOSED',
  'ERR_METADATA_UNAVAILABLE',
]);

/** Records that others hold go on as the same objects; one of another segment under the index, of a database set back, does not. */
function keepRecords(from: Replica, to: Replica): void {
  for (const [index, record] of [...to.segments]) {
    const held = from.segments.get(index);
    if (held === undefined || hex(held.id) !== hex(record.id)) continue;
    to.segmentGone(index);
    to.segment(Object.assign(held, record));
  }
}

export function unavailable(why: string, cause?: unknown): RefillError {
  return new RefillError('ERR_METADATA_UNAVAILABLE', `the metadata service is away: ${why}`, { cause });
}
