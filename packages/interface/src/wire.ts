/**
 * Constants of the wire protocol, version 1: what a client and its node say over a Unix stream socket. Grammar, a
 * table per frame and a worked example are in `docs/internals/wire-format.md`. Everything is little-endian; every
 * frame is a multiple of 8 bytes, so that frames in an aligned buffer stay aligned and their rows are read in place.
 *
 * Frame header, 32 bytes:
 * ```
 *  0  4  length      of the whole frame, header included; a multiple of 8
 *  4  2  type        FRAME; a reply is the request's type with REPLY_BIT set, an error is ERROR_FRAME
 *  6  2  flags       FRAME_FLAG; unknown bits are refused
 *  8  4  request     chosen by the client, not 0; the reply carries it. 0 in frames without a reply
 * 12  4  deadlineMs  relative to arrival; 0 means the default
 * 16  4  namespace   index from the reply to `namespace`, 0 where there is none
 * 20  4  count       of keys or rows, or of bytes where the body is text; in a reply also the number answered
 * 24  4  argument    region, lease, bound, life, request to cancel or error code; 0 where there is none
 * 28  4  zero        reserved
 * ```
 */
export const FRAME_HEADER_BYTES = 32;
export const FRAME_HEADER_WORDS = 8;
/** Word index of each 32-bit header field; `kind` holds type (low half) and flags (high half). */
export const FRAME_WORD = {
  length: 0,
  kind: 1,
  request: 2,
  deadlineMs: 3,
  namespace: 4,
  count: 5,
  argument: 6,
  zero: 7,
} as const;

/** The first four bytes of the body of `hello`: "RFIL". The layout of `hello` never changes, in any version. */
export const WIRE_MAGIC = 0x4c494652;
export const WIRE_VERSION_MIN = 1;
export const WIRE_VERSION_MAX = 1;

/** Frame types. 0 is reserved. Numbers never change meaning. */
export const FRAME = {
  /** First frame of a connection. Body: magic, versions. Reply: `Welcome`. */
  hello: 1,
  /** Opens a namespace. Body: JSON `{"fingerprint":{},"policy":{}}`. Reply: id and JSON, index in the header. */
  namespace: 2,
  /** `PUT_ROW`s. Reply: `RESERVE_ROW`s. */
  reserve: 3,
  /** Hints with the flag `hinted`, then slots. Reply: `PUT_STATUS` words. */
  commit: 4,
  /** Slots. No reply. */
  abort: 5,
  /** Hints with the flag `hinted`, then `PUT_ROW`s, then `REGION_ROW`s. Reply: `PUT_STATUS` words. */
  putFrom: 6,
  /** Keys. Reply: `READ_ROW`s. */
  get: 7,
  /** Keys, then `REGION_ROW`s. Reply: `READ_ROW`s. */
  getInto: 8,
  /** Slots. No reply. */
  release: 9,
  /** Keys. Reply: count of leading keys that are present. */
  match: 10,
  /** Keys. Reply: one byte a key. */
  exists: 11,
  /** Keys. Reply: count. */
  prefetch: 12,
  /** Keys. Reply: count. */
  pin: 13,
  /** Keys. Reply: count. */
  unpin: 14,
  /** Keys. Reply: empty. */
  touch: 15,
  /** Keys. Reply: count. */
  delete: 16,
  /** Empty. Reply: count of blocks that failed. */
  flush: 17,
  /** Empty. Reply: JSON of `NodeStatus`. */
  status: 18,
  /** Size (u64), then a path or, with `token`, the 16 bytes under which an fd was passed. Reply: region in argument. */
  registerRegion: 19,
  /** Empty; region in argument. Reply: empty. */
  unregisterRegion: 20,
  /** Empty; request to cancel in argument. No reply of its own: the cancelled request is answered, once. */
  cancel: 21,
  /** Keys. Reply: `PUT_STATUS` words, when the blocks are durable, lost or late. */
  awaitStored: 22,
  /** Keys. Reply: `LOOKUP_ROW`s. */
  lookup: 23,
  /** Keys; most nodes to name in argument, 0 for the default. Reply: JSON, a list of `NodeResidency`. */
  locate: 24,
  /** Keys. Reply: JSON of `ReadExplanation`. */
  explain: 25,
  /** Keys; life in milliseconds in argument, 0 for the default. Reply: `FILL_ROW`s, lease in argument. */
  acquireFill: 26,
  /** Keys. Reply: count of keys that are present, when none is leased any more or at the deadline. */
  awaitFill: 27,
  /** Empty; lease in argument. No reply. */
  releaseFill: 28,
  /** Most bytes of hot blocks to hand over (u64). Reply: JSON of `DrainStatus`, when it is done or at the deadline. */
  drain: 29,
} as const;
export type FrameName = keyof typeof FRAME;

export const REPLY_BIT = 0x8000;
/** Body: errno (u32), zero (u32), message in UTF-8; error code in argument, bytes of the message in count. */
export const ERROR_FRAME: number = REPLY_BIT;

export const FRAME_FLAG = {
  /** `commit`, `putFrom`: durability `shared`; without it `memory`. */
  shared: 1,
  /** `registerRegion`: the body names an fd by its token, not a path. */
  token: 2,
  /** Error: the sender closes the connection after this frame. */
  fatal: 4,
  /** `commit`, `putFrom`: the body begins with hints (`HINT`). */
  hinted: 8,
  /** `drain`: the node keeps running when it is drained, and answers reads. */
  stay: 16,
} as const;
export const FRAME_FLAGS_KNOWN = 31;

/** Length of the token under which a file descriptor is passed. */
export const FD_TOKEN_BYTES = 16;

/** Bytes of a Unix socket's path that fit `sockaddr_un` with its closing zero. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Rounds up to the 8 bytes to which every frame is padded with zeros. */
export function padded(bytes: number): number {
  return (bytes + 7) & ~7;
}

const FRAME_NAMES: ReadonlyMap<number, FrameName> = new Map(
  Object.entries(FRAME).map(([name, type]) => [type, name as FrameName]),
);

/** Name of a frame type (with or without the reply bit), for messages. */
export function frameName(type: number): string {
  return FRAME_NAMES.get(type & ~REPLY_BIT) ?? `type ${type}`;
}
