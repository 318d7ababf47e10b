import type { Startable } from '@libp2p/interface';

/** A libp2p `PeerId` as text: the hash of a public key, so that nobody can answer in another's name. */
export type PeerName = string;

/** A peer and where it may be reached: multiaddrs, in the order to be tried. */
export interface PeerAddress {
  readonly peer: PeerName;
  readonly addresses: readonly string[];
}

/**
 * Answers one request of an authenticated member. `body` is borrowed until the answer. A `RefillError` refuses: its
 * code and message reach the caller; anything else that is thrown reaches it as `ERR_INTERNAL`, without the message.
 */
export type ControlHandler = (from: PeerName, body: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export interface ControlCounters {
  requests: number;
  answers: number;
  bytesSent: number;
  bytesReceived: number;
  /** Connections turned away: wrong secret, not on the list, another cluster, unknown version, malformed frames. */
  refused: number;
  timeouts: number;
}

/**
 * Control between members: short requests and answers over authenticated, encrypted connections that stay open.
 * Payloads never travel here. A simulated one has the same compliance suite as the one on libp2p.
 */
export interface ControlNetwork extends Startable {
  readonly self: PeerAddress;
  readonly counters: ControlCounters;
  /** Answers requests of `protocol`, e.g. `/refill/metadata/1`; before `start`. One handler a protocol. */
  handle(protocol: string, handler: ControlHandler): void;
  /**
   * One request and its answer. The answer belongs to the caller; `body` is borrowed until it settles. Many may be in
   * flight to one peer. A request may have been carried out although this rejects: `ERR_DEADLINE`,
   * `ERR_PEER_UNREACHABLE`, `ERR_UNAUTHORIZED`, `ERR_VERSION`, or what the handler threw. Never later than the deadline.
   */
  request(
    to: PeerAddress,
    protocol: string,
    body: Uint8Array,
    options: { deadlineMs: number },
  ): Promise<Uint8Array>;
}

/** Longest body of a control request or answer: a full call of keys with everything known of them. */
export const CONTROL_BYTES_MAX: number = 2 * 1024 * 1024;
