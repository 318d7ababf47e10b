import type { Startable } from '@libp2p/interface';

/** Bytes of a ticket: random, so that it cannot be guessed in its short life. */
export const PEER_TICKET_BYTES = 32;

/** Blocks in one offer or one `receive`: 16 GiB of 4 MiB blocks, or 256 MiB of the smallest that matter. */
export const PEER_BLOCKS_MAX = 4_096;

/** Offers of one transport that are not released yet. */
export const PEER_OFFERS_MAX = 4_096;

/** Longest life of a ticket: what it names is pinned meanwhile. */
export const PEER_TICKET_MS_MAX = 60_000;

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
  /** The sender has no such ticket, or no block of this length at this place in it. */
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
   * is called once, never within this call, when it has ended and no send reads the memory any more: until then the
   * caller keeps it pinned. A receiver that takes its time is cut off soon after the end. `end` ends it before its time;
   * `stop` ends all. Throws `ERR_LIMIT` when too many offers are out, `ERR_NODE_CLOSED` when stopped, `RangeError` for
   * rows that leave the arena. `rows` is copied.
   */
  offer(
    rows: Uint32Array,
    count: number,
    lifeMs: number,
    onReleased: () => void,
  ): { ticket: Uint8Array; end(): void };
  /**
   * Receives `count` blocks (`RECEIVE_ROW`) and settles when each is done or given up, at the deadline at the latest
   * but for an instant: when it settles nothing writes to their memory any more. What is not `done` may hold part of a
   * block, or of another. Never rejects for the sake of a block; `RangeError` for rows that leave their buffer,
   * `ERR_NODE_CLOSED` when stopped. `rows` and the ticket are borrowed until it settles.
   */
  receive(
    address: string,
    ticket: Uint8Array,
    rows: Uint32Array,
    count: number,
    deadlineMs: number,
  ): Promise<void>;
}
