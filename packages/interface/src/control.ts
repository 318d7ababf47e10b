import type { Startable } from '@libp2p/interface';

/** A libp2p `PeerId` as text: the hash of a public key, so that nobody can answer in another's name. */
export type PeerName = string;

/** A peer and where it may be reached: multiaddrs, in the order to be tried. */
export interface PeerAddress {
  readonly peer: PeerName;
  readonly addresses: readonly string[];
}

/**
 * Answers one request of an authenticated member. `body` is borrowed until the answer, and aligned for rows. What is
 * answered must not change afterwards; it may be the same bytes for everybody. A `RefillError` refuses: its
 * code and message reach the caller; anything else that is thrown reaches it as `ERR_INTERNAL`, without the message.
 */
export type ControlHandler = (from: PeerName, body: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export interface ControlCounters {
  /** Requests made to others. */
  requests: number;
  /** Answers given to others, refusals included. */
  answers: number;
  /** Of bodies of requests and answers, without what frames and encryption add. */
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
  /** Where it listens is known once it has started. */
  readonly self: PeerAddress;
  readonly counters: ControlCounters;
  /** Answers requests of `protocol`, e.g. `/refill/metadata/1`; before `start`. One handler a protocol. */
  handle(protocol: string, handler: ControlHandler): void;
  /**
   * One request and its answer. The answer belongs to the caller and is aligned for rows; `body` is borrowed until it
   * settles. Many may be in flight to one peer; a member may ask itself. Never later than the deadline. Rejects with
   * what the handler threw; `ERR_DEADLINE` and `ERR_PEER_UNREACHABLE`, after which the request may have been carried out
   * all the same; and, when it was not: `ERR_UNAUTHORIZED`, `ERR_NOT_A_ROOT` (another cluster), `ERR_VERSION` (also: the
   * protocol is not spoken there), `ERR_LIMIT` (too many are not answered yet), `ERR_NODE_CLOSED` (this side is not
   * started, or stopped meanwhile: then it may have been).
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
