import {
  type Chance,
  type Clock,
  type DirectoryStats,
  type PeerAddress,
  RefillError,
} from '@refill/interface';
import { drawNumber } from '../protocol/draw-number.ts';
import { HEARTBEAT_FLAG, HEARTBEAT_STATUS, MESSAGE, RECLAIM_MAX } from '../protocol/message.ts';
import type { WordReader } from '../protocol/words.ts';
import { encodeSmall } from '../record.ts';
import type { HeldLease } from './held-lease.ts';
import type { NodeNotes } from './node-notes.ts';
import { readCounts } from './read-counts.ts';
import type { ServiceLink } from './service-link.ts';

/** Between heartbeats; while the service is away; while notes wait. */
const BEAT_MS = 2000;
const RETRY_MS = 250;
const HURRY_MS = 20;
/** A heartbeat is given up after this, so that several fit the life of a lease. */
const BEAT_DEADLINE_MS = 2000;

/** Who this node is, for the other members. */
export interface NodeIdentity {
  node: string;
  control: PeerAddress;
  dataAddress: string;
}

/** What of the directory's statistics only the service knows. */
export type ServiceStats = Pick<DirectoryStats, 'indexBytes' | 'blocksBeyondMemory' | 'damaged' | 'engine'>;

export interface HeartbeatParts {
  link: ServiceLink;
  lease: HeldLease;
  notes: NodeNotes;
  clock: Clock;
  chance: Pick<Chance, 'bytes'>;
  log: { error(format: string, ...args: unknown[]): void };
  identity: NodeIdentity;
  /** Local version on which reads in flight rely at least. */
  readVersion: () => number;
  /** Told what to reclaim, and the statistics of the directory. */
  onBeat: (condemn: Uint32Array, unlink: Uint32Array, stats: ServiceStats) => void;
  /** Everything resident is to be noted anew. */
  onResidencyAnew: () => void;
}

/**
 * Keeps the lease: joins, renews, joins again when the service has forgotten (under the same epoch) or has ended the
 * lease (under a new one). One request at a time; what the node tells travels with it.
 */
export class Heartbeat {
  readonly #parts: HeartbeatParts;
  readonly #life: number;
  #attempt = 0;
  #number = 0;
  #hasJoined = false;
  /** The directory was made anew: this node's open segments mean nothing, its next epoch is a new one. */
  #isVoid = false;
  #draining = false;
  #isOpen = false;
  /** The first join is done. */
  #isRunning = false;
  #isUrgent = false;
  /** When the last one began: also urgent ones keep a distance. */
  #beatAtMs = Number.NEGATIVE_INFINITY;
  #cancelTimer: (() => void) | undefined;
  #beating: Promise<void> | undefined;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
    this.#life = drawNumber(parts.chance);
    parts.link.onAnew = (isNewDirectory) => {
      if (isNewDirectory && this.#hasJoined) this.#isVoid = true;
      // Another session knows neither the lease nor what is resident: nothing is written until this node joins again.
      this.#hasJoined = false;
      this.beat();
    };
  }

  /** Joins, trying until the deadline; then goes on by itself. */
  async start(deadlineMs: number): Promise<void> {
    const { clock } = this.#parts;
    const endsAtMs = clock.nowMs() + deadlineMs;
    this.#isOpen = true;
    for (;;) {
      try {
        await this.#join();
        break;
      } catch (error) {
        const isFinal = !(error instanceof RefillError) || !PASSING.has(error.code);
        if (isFinal || clock.nowMs() + RETRY_MS >= endsAtMs) {
          this.#isOpen = false;
          throw error;
        }
        await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
      }
    }
    this.#isRunning = true;
    this.#schedule(HURRY_MS);
  }

  /** Ends the lease, with the service's knowledge where it can be reached. */
  async stop(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = this.#isRunning = false;
    this.#cancelTimer?.();
    await this.#beating;
    const { link, lease } = this.#parts;
    const wasHeld = lease.isHeld;
    lease.end();
    if (!wasHeld || link.isAway) return;
    try {
      await link.request(
        MESSAGE.leave,
        (writer) => writer.word(lease.slot).wide(lease.epoch),
        BEAT_DEADLINE_MS,
      );
    } catch (error) {
      this.#parts.log.error('the service was not told that this node leaves: %s', (error as Error).message);
    }
  }

  /** Tells the others to bring nothing new here. */
  drain(): void {
    this.#draining = true;
    this.beat();
  }

  /** A heartbeat at once, or right after the one under way: what was heard may have ended the lease. */
  beat(): void {
    if (!this.#isRunning) return;
    if (this.#beating !== undefined) this.#isUrgent = true;
    else this.#schedule(Math.max(0, this.#beatAtMs + HURRY_MS - this.#parts.clock.nowMs()));
  }

  #schedule(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#parts.clock.after(delayMs, () => {
      this.#cancelTimer = undefined;
      this.#beatAtMs = this.#parts.clock.nowMs();
      this.#beating = this.#once().finally(() => {
        this.#beating = undefined;
        const pauseMs = this.#isUrgent ? HURRY_MS : this.#pauseMs;
        this.#isUrgent = false;
        if (this.#isOpen) this.#schedule(pauseMs);
      });
    });
  }

  get #pauseMs(): number {
    const { link, notes } = this.#parts;
    if (link.isAway || !this.#hasJoined) return RETRY_MS;
    return notes.pending > 0 && notes.peek().length / 2 < notes.pending ? HURRY_MS : BEAT_MS;
  }

  async #once(): Promise<void> {
    try {
      if (!this.#hasJoined) await this.#join();
      await this.#renew();
      if (this.#hasJoined) return;
      // The lease is over: joining again waits for no other turn, for puts wait for the new epoch.
      await this.#join();
      await this.#renew();
    } catch (error) {
      if (!(error instanceof RefillError)) throw error;
      if (!PASSING.has(error.code)) this.#parts.log.error('no heartbeat: %s', error.message);
    }
  }

  async #join(): Promise<void> {
    const { link, lease, clock, identity } = this.#parts;
    const { node, control, dataAddress } = identity;
    const sentAtMs = clock.nowMs();
    const attempt = ++this.#attempt;
    const { body } = await link.request(
      MESSAGE.join,
      (writer) => {
        writer
          .text(node)
          .wide(this.#life)
          .word(attempt)
          .wide(this.#isVoid ? 0 : lease.epoch);
        writer.bytes(encodeSmall({ control, dataAddress, lastEpoch: lease.epoch }));
      },
      BEAT_DEADLINE_MS,
      { urgent: true },
    );
    const epoch = body.wide();
    this.#hasJoined = true;
    this.#isVoid = false;
    this.#number = 0;
    this.#parts.notes.clear();
    const slot = body.word();
    lease.grant(epoch, slot, body.word(), sentAtMs);
    this.#parts.onResidencyAnew();
  }

  async #renew(): Promise<void> {
    const { link, lease, notes, clock, readVersion, onBeat } = this.#parts;
    if (notes.overflowed) {
      // The slot is another one after a join, so what was told under the old one goes by itself.
      this.#hasJoined = false;
      await this.#join();
    }
    const sentAtMs = clock.nowMs();
    const told = notes.peek();
    const touched = notes.takeTouched();
    const flags = this.#draining ? HEARTBEAT_FLAG.draining : 0;
    const number = ++this.#number;
    const version = link.serviceVersion(readVersion());
    const { body } = await link.request(
      MESSAGE.heartbeat,
      (writer) => {
        writer.word(lease.slot).wide(lease.epoch).word(number).word(flags).wide(version);
        writer
          .word(touched.length)
          .words(touched)
          .word(told.length / 2)
          .words(told);
      },
      BEAT_DEADLINE_MS,
      { urgent: true, capacity: 64 + touched.length + told.length },
    );
    if (body.word() === HEARTBEAT_STATUS.unknown) {
      this.#hasJoined = false;
      return;
    }
    notes.told(told);
    lease.renew(sentAtMs);
    const stats = readStats(body);
    readCounts(body, link.replica);
    const condemn = body.words(body.count(RECLAIM_MAX, 1));
    onBeat(condemn, body.words(body.count(RECLAIM_MAX, 1)), stats);
  }
}

/** What goes by itself: the service is away, or slow, or asks for patience. */
const PASSING: ReadonlySet<string> = new Set(['ERR_METADATA_UNAVAILABLE', 'ERR_DEADLINE', 'ERR_LIMIT']);

function readStats(body: WordReader): ServiceStats {
  const indexBytes = body.wide();
  const blocksBeyondMemory = body.wide();
  const damaged = body.word();
  return { indexBytes, blocksBeyondMemory, damaged, engine: body.text(64) };
}
