import { invariant, type PeerName } from '@refill/interface';

export interface PeerBoundsOptions {
  /** Bytes pinned for one peer, and for all. */
  bytesPerPeerMax: number;
  bytesMax: number;
  /** Tickets of one peer that are not released. */
  offersPerPeerMax: number;
}

/** What is pinned for whom: a peer that asks for much, or is asked for by many, gets less, and others their share. */
export class PeerBounds {
  readonly #options: PeerBoundsOptions;
  readonly #peers = new Map<PeerName, { bytes: number; offers: number }>();
  #bytes = 0;

  constructor(options: PeerBoundsOptions) {
    this.#options = options;
  }

  get pinnedBytes(): number {
    return this.#bytes;
  }

  /** Bytes that may be pinned for this peer now; 0 when it has too many tickets. */
  roomFor(peer: PeerName): number {
    const { bytesPerPeerMax, bytesMax, offersPerPeerMax } = this.#options;
    const held = this.#peers.get(peer) ?? { bytes: 0, offers: 0 };
    if (held.offers >= offersPerPeerMax) return 0;
    return Math.max(0, Math.min(bytesPerPeerMax - held.bytes, bytesMax - this.#bytes));
  }

  take(peer: PeerName, bytes: number): void {
    const held = this.#peers.get(peer) ?? { bytes: 0, offers: 0 };
    held.bytes += bytes;
    held.offers++;
    this.#peers.set(peer, held);
    this.#bytes += bytes;
  }

  giveBack(peer: PeerName, bytes: number): void {
    const held = this.#peers.get(peer);
    invariant(held !== undefined && held.bytes >= bytes, 'what was taken for a peer is given back once');
    held.bytes -= bytes;
    held.offers--;
    if (held.offers === 0) this.#peers.delete(peer);
    this.#bytes -= bytes;
  }
}
