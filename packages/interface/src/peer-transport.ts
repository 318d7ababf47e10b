import type { Startable } from '@libp2p/interface';

/** Bytes of a ticket: random, so that it cannot be guessed in its short life. */
export const PEER_TICKET_BYTES = 32;

/**
 * One block to send: where it lies in the arena and the identity that the receiver will check: namespace id (16
 * bytes) and key. `bufferOffset` is in the arena.
 */
export const OFFER_ROW_WORDS = 16;
export const OFFER_ROW = {
  namespaceId: 0,
  key: 4,
  bufferOffsetLo: 12,
  bufferOffsetHi: 13,
  lengthBytes: 14,
  zero: 15,
} as const;

/**
 * One block to receive: its place in the ticket, the identity and length expected, where it shall go. Out: `status`.
 * The whole block is verified against its identity, in native code, before `done` is set.
 */
export const RECEIVE_ROW_WORDS = 18;
export const RECEIVE_ROW = {
  namespaceId: 0,
  key: 4,
  index: 12,
  lengthBytes: 13,
  buffer: 14,
  bufferOffsetLo: 15,
  bufferOffsetHi: 16,
  status: 17,
} as const;

export const RECEIVE_STATUS = {
  pending: 0,
  done: 1,
  /** Not all there at the deadline. Nothing writes to its memory any more. */
  late: 2,
  /** The bytes were not those of this identity. */
  corrupt: 3,
  /** The sender has no such ticket or no such block in it. */
  refused: 4,
  /** The connection failed. */
  failed: 5,
} as const;

export interface PeerCounters {
  bytesSent: number;
  bytesReceived: number;
  blocksSent: number;
  blocksReceived: number;
  offers: number;
  /** Connections and requests turned away: malformed, unknown or expired ticket, a block outside the ticket. */
  refused: number;
  corrupt: number;
  timeouts: number;
}

/**
 * Bytes of blocks out of one node's memory into another's. TCP stands behind it; RDMA may later. A ticket is the only
 * right it knows: it reached the receiver over an authenticated `ControlNetwork`, names the blocks, and ends soon.
 */
export interface PeerTransport extends Startable {
  /** `tcp`. */
  readonly name: string;
  /** `host:port` at which others connect; known after `start`. */
  readonly address: string;
  readonly counters: PeerCounters;
  /**
   * Lets the holder of the returned ticket read `count` blocks (`OFFER_ROW`) of the arena for `lifeMs`. `onReleased`
   * is called once, when it has ended and no send reads the memory any more: until then the caller keeps it pinned.
   * `end` ends it before its time.
   */
  offer(
    rows: Uint32Array,
    count: number,
    lifeMs: number,
    onReleased: () => void,
  ): { ticket: Uint8Array; end(): void };
  /**
   * Receives `count` blocks (`RECEIVE_ROW`) and settles when each is done or given up, at the deadline at the latest
   * but for an instant: when it settles nothing writes to their memory any more. Never rejects for the sake of a block.
   */
  receive(
    address: string,
    ticket: Uint8Array,
    rows: Uint32Array,
    count: number,
    deadlineMs: number,
  ): Promise<void>;
}
