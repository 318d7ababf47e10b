import {
  type Cluster,
  type ClusterMember,
  FILL_ROW_WORDS,
  KEY_WORDS,
  type NodeLease,
  type NodeShare,
  RefillError,
} from '@refill/interface';
import { MESSAGE } from '../protocol/message.ts';
import type { WordWriter } from '../protocol/words.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { HeldLease } from './held-lease.ts';
import type { NodeNotes } from './node-notes.ts';
import type { Answer, ServiceLink } from './service-link.ts';

/** A waiting request is answered by the service after this at the latest; then it is asked again. */
const POLL_MS = 5000;
/** What is left to an answer to come back, of a deadline that the service is told. */
const RETURN_MS = 200;
const RELEASE_MS = 5000;

export interface ClusterNodeParts {
  link: ServiceLink;
  lease: HeldLease;
  notes: NodeNotes;
  heartbeat: Heartbeat;
  directory: { start(): void; stop(): void };
  clock: { nowMs(): number };
}

/** A node's side of the cluster: its lease, who else is there, who holds what. */
export class ClusterNode implements Cluster {
  residents: Cluster['residents'];
  oldestReadVersion: Cluster['oldestReadVersion'];
  onRemoved: Cluster['onRemoved'];
  onRemovalsMissed: Cluster['onRemovalsMissed'];
  onReclaimable: Cluster['onReclaimable'];
  readonly #parts: ClusterNodeParts;
  readonly #joinMs: number;

  constructor(parts: ClusterNodeParts, options: { joinMs: number }) {
    this.#parts = parts;
    this.#joinMs = options.joinMs;
  }

  get lease(): NodeLease {
    return this.#parts.lease;
  }

  get members(): readonly ClusterMember[] {
    return [...this.#parts.link.replica.members.values()];
  }

  member(slot: number): ClusterMember | undefined {
    return this.#parts.link.replica.members.get(slot);
  }

  /** Joins the cluster. `ERR_METADATA_UNAVAILABLE` when the service is away, `ERR_NODE_IDENTITY_TAKEN`. */
  async start(): Promise<void> {
    await this.#parts.heartbeat.start(this.#joinMs);
    this.#parts.directory.start();
  }

  /** Gives the lease back. Everything that writes has stopped before. */
  async stop(): Promise<void> {
    this.#parts.directory.stop();
    await this.#parts.heartbeat.stop();
  }

  /** Tells routers and other nodes that this node is about to leave. */
  drain(): void {
    this.#parts.heartbeat.drain();
  }

  async locate(
    namespace: number,
    keys: Uint32Array,
    count: number,
    limit: number,
    deadlineMs: number,
  ): Promise<NodeShare[]> {
    const { body, isVoid } = await this.#request(
      MESSAGE.locate,
      (writer) =>
        writer
          .word(namespace)
          .word(limit)
          .word(count)
          .words(keys.subarray(0, count * KEY_WORDS)),
      count,
      deadlineMs,
    );
    if (isVoid) return [];
    const shares: NodeShare[] = [];
    for (let left = body.count(limit, 3); left > 0; left--) {
      const member = this.member(body.word());
      const prefixBlocks = body.word();
      const blocks = body.word();
      if (member !== undefined) shares.push({ member, prefixBlocks, blocks });
    }
    return shares;
  }

  noteResident(namespace: number, keys: Uint32Array, at: number, isResident: boolean): void {
    this.#parts.notes.note(namespace, keys, at, isResident);
  }

  async acquireFills(
    namespace: number,
    keys: Uint32Array,
    count: number,
    holder: number,
    lifeMs: number,
    rows: Uint32Array,
    deadlineMs: number,
  ): Promise<void> {
    const { body, isVoid } = await this.#request(
      MESSAGE.acquireFills,
      (writer) => {
        this.#name(writer).word(namespace).wide(holder).word(lifeMs).word(count);
        writer.words(keys.subarray(0, count * KEY_WORDS));
      },
      count,
      deadlineMs,
    );
    if (isVoid) throw new RefillError('ERR_METADATA_UNAVAILABLE', 'the directory was made anew');
    rows.set(body.words(count * FILL_ROW_WORDS));
  }

  async awaitFills(namespace: number, keys: Uint32Array, count: number, deadlineMs: number): Promise<number> {
    const { clock } = this.#parts;
    const endsAtMs = clock.nowMs() + deadlineMs;
    for (;;) {
      const leftMs = Math.max(1, endsAtMs - clock.nowMs());
      const waitMs = Math.max(0, Math.min(POLL_MS, leftMs - RETURN_MS));
      const { body, isVoid } = await this.#request(
        MESSAGE.awaitFills,
        (writer) => {
          writer
            .word(namespace)
            .word(waitMs)
            .word(count)
            .words(keys.subarray(0, count * KEY_WORDS));
        },
        count,
        leftMs,
      );
      if (isVoid) return 0;
      const present = body.word();
      const isHeld = body.word() === 1;
      if (!isHeld || endsAtMs - clock.nowMs() <= RETURN_MS) return present;
    }
  }

  releaseFills(holder: number): void {
    const fill = (writer: WordWriter): void => void this.#name(writer).wide(holder);
    // Lost with the service, or when it does not answer: the leases end by their lives.
    this.#request(MESSAGE.releaseFills, fill, 1, RELEASE_MS).catch(() => undefined);
  }

  #name(writer: WordWriter): WordWriter {
    const { lease } = this.#parts;
    return writer.word(lease.slot).wide(lease.epoch);
  }

  #request(
    type: number,
    fill: (writer: WordWriter) => void,
    count: number,
    deadlineMs: number,
  ): Promise<Answer> {
    return this.#parts.link.request(type, fill, deadlineMs, { capacity: 64 + count * KEY_WORDS });
  }
}
