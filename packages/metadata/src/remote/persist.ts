import { type Clock, RefillError } from '@refill/interface';
import type { WordWriter } from '../protocol/words.ts';
import type { HeldLease } from './held-lease.ts';
import { type Answer, type ServiceLink, unavailable } from './service-link.ts';

/** One try of a change: then it is asked again, for changes may be asked for twice. */
const TRY_MS = 5000;
/** How often it is looked whether the lease is held again. */
const LEASE_POLL_MS = 50;

export interface PersistOptions {
  /** Until when a change waits for the service. */
  writeDeadlineMs: number;
  /** Rows of changes that may wait; beyond it they are refused at once. */
  writeRowsMax: number;
}

/**
 * Changes, which wait for the service while it is away: each until its deadline, all of them within a bound of rows,
 * beyond which they are refused at once. A change whose answer was lost is asked for again; all of them allow that.
 */
export class Persist {
  /** Told when the service refused a change because it knows another epoch or directory. */
  onFenced: (() => void) | undefined;
  readonly #link: ServiceLink;
  readonly #lease: HeldLease;
  readonly #clock: Clock;
  readonly #options: PersistOptions;
  #rows = 0;

  constructor(parts: { link: ServiceLink; lease: HeldLease; clock: Clock }, options: PersistOptions) {
    this.#link = parts.link;
    this.#lease = parts.lease;
    this.#clock = parts.clock;
    this.#options = options;
  }

  /** Rows that wait for an answer. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * Asks until the service answers. `rows` is what it weighs. `epoch` is this node's that it is made under, if it is:
   * then it also waits until the lease is held. `namesIndexes`: it names segments or namespaces by index, which mean
   * nothing once the directory was made anew (K3): `ERR_FENCED` then. The answer and whether it was asked more than once.
   */
  async run(
    type: number,
    fill: (writer: WordWriter) => void,
    {
      rows,
      epoch,
      namesIndexes = false,
      capacity = 64,
    }: { rows: number; epoch?: number | undefined; namesIndexes?: boolean; capacity?: number },
  ): Promise<Answer & { again: boolean }> {
    if (this.#rows > 0 && this.#rows + rows > this.#options.writeRowsMax && this.#link.isAway)
      throw unavailable(`${this.#rows} rows wait for it already`);
    const endsAtMs = this.#clock.nowMs() + this.#options.writeDeadlineMs;
    const { incarnation } = this.#link.replica.stamp;
    this.#rows += rows;
    try {
      for (let again = false; ; again = true) {
        const leftMs = endsAtMs - this.#clock.nowMs();
        if (leftMs <= 0) throw unavailable(`no answer in ${this.#options.writeDeadlineMs} ms`);
        await this.#link.whenBack(leftMs);
        await this.#untilHeld(epoch, endsAtMs);
        if (namesIndexes && this.#link.replica.stamp.incarnation !== incarnation) throw madeAnew();
        try {
          const tryMs = Math.max(1, Math.min(TRY_MS, endsAtMs - this.#clock.nowMs()));
          return { ...(await this.#link.request(type, fill, tryMs, { capacity })), again };
        } catch (error) {
          if (!(error instanceof RefillError)) throw error;
          if (error.code === 'ERR_FENCED') this.onFenced?.();
          if (!PASSING.has(error.code)) throw error;
        }
      }
    } finally {
      this.#rows -= rows;
    }
  }

  /** Who does not hold the lease writes nothing (invariant L4); who has another epoch by now is fenced. */
  async #untilHeld(epoch: number | undefined, endsAtMs: number): Promise<void> {
    while (epoch !== undefined && !this.#lease.isHeld && epoch === this.#lease.epoch) {
      if (this.#clock.nowMs() >= endsAtMs) throw unavailable('the lease of this node is not held');
      await new Promise<void>((resolve) => this.#clock.after(LEASE_POLL_MS, resolve));
    }
    if (epoch !== undefined && epoch !== this.#lease.epoch)
      throw new RefillError('ERR_FENCED', `epoch ${epoch} is over, this node has ${this.#lease.epoch}`);
  }
}

export function madeAnew(): RefillError {
  return new RefillError('ERR_FENCED', 'the directory was made anew');
}

const PASSING: ReadonlySet<string> = new Set(['ERR_METADATA_UNAVAILABLE', 'ERR_DEADLINE']);
