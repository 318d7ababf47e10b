import { type Clock, type PeerName, RefillError } from '@refill/interface';

/** Joins that a peer may make at once, and how often one comes back: each costs a durable write. */
const BURST = 32;
const REFILL_MS = 500;
/** Peers remembered; they are members already, so more of them than this are no flood of strangers. */
const PEERS_MAX = 65_536;

/** Keeps one peer from keeping the service busy with epochs. */
export class JoinRate {
  readonly #clock: Pick<Clock, 'nowMs'>;
  /** When each peer's bucket would be full again. */
  readonly #fullAtMs = new Map<PeerName, number>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** `ERR_LIMIT` when this peer asks too often. */
  take(peer: PeerName): void {
    const nowMs = this.#clock.nowMs();
    const fullAtMs = Math.max(nowMs, this.#fullAtMs.get(peer) ?? nowMs) + REFILL_MS;
    if (fullAtMs - nowMs > BURST * REFILL_MS)
      throw new RefillError('ERR_LIMIT', `${peer} asks for epochs too often; wait a few seconds`);
    this.#fullAtMs.delete(peer);
    if (this.#fullAtMs.size >= PEERS_MAX) {
      for (const oldest of this.#fullAtMs.keys()) {
        this.#fullAtMs.delete(oldest);
        break;
      }
    }
    this.#fullAtMs.set(peer, fullAtMs);
  }
}
