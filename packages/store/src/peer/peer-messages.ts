/**
 * What nodes say to each other over `ControlNetwork` about blocks in memory, version 1 (`docs/internals/peer-protocol.md`).
 * Little-endian.
 * ```
 * ask     0  4 kind 1      answer  0  4 count
 *         4  4 count               4  4 lifeMs       0: nothing is offered
 *         8 16 namespace id        8 32 ticket
 *        24 32 key, count times   40  4 address length
 *                                 44  4 zero
 * done    0  4 kind 2             48 12 status, lengthBytes, tokens, count times
 *         4  4 zero                  .. address
 *         8 32 ticket
 *
 * hold    0  4 kind 3      held    0  4 count that are in memory now
 *         4  4 count               4  4 count that were refused for want of memory
 *         8 16 namespace id        8  8 bytes of memory that are free
 *        24  4 ttlMs       0: for as long as it lasts
 *        28  4 zero
 *        32 32 key, count times
 * ```
 */
import {
  KEY_BYTES,
  KEY_WORDS,
  PEER_BLOCKS_MAX,
  PEER_TICKET_BYTES,
  PUT_TTL_MS_MAX,
  RefillError,
} from '@refill/interface';

export const PEER_PROTOCOL = '/refill/peer/1';
export const NAMESPACE_ID_BYTES = 16;
/** `host:port` with the longest numeric host. */
const ADDRESS_BYTES_MAX = 64;
const KIND = { ask: 1, done: 2, hold: 3 } as const;
const ASK_HEAD_BYTES = 24;
const DONE_BYTES = 8 + PEER_TICKET_BYTES;
const GRANT_HEAD_BYTES = 48;
const HOLD_HEAD_BYTES = 32;
const HELD_BYTES = 16;

/** What the holder says of one key: `status, lengthBytes, tokens`. */
export const GRANT_ROW_WORDS = 3;
export const GRANT_ROW = { status: 0, lengthBytes: 1, tokens: 2 } as const;
const GRANT_ROW_BYTES: number = GRANT_ROW_WORDS * 4;

export const GRANT_STATUS = {
  /** Not in its memory. */
  absent: 0,
  /** In the ticket: its place is the number of offered keys before it. */
  offered: 1,
  /** There, but its bounds for this peer are reached. */
  busy: 2,
} as const;

export interface PeerAsk {
  readonly namespaceId: Uint8Array;
  readonly keys: Uint32Array;
  readonly count: number;
}

export interface PeerGrant {
  readonly ticket: Uint8Array;
  /** Where to read. */
  readonly address: string;
  readonly lifeMs: number;
  /** `GRANT_ROW` of each key. */
  readonly rows: Uint32Array;
  readonly count: number;
}

/** Asks a member to read blocks into its memory, for they will be wanted there. */
export interface PeerHold {
  readonly namespaceId: Uint8Array;
  readonly keys: Uint32Array;
  readonly count: number;
  /** What is left of the life of the blocks; 0 for those without one. */
  readonly ttlMs: number;
}

export interface PeerHeld {
  readonly held: number;
  readonly refused: number;
  readonly freeBytes: number;
}

export type PeerMessage =
  | ({ kind: 'ask' } & PeerAsk)
  | ({ kind: 'hold' } & PeerHold)
  | { kind: 'done'; ticket: Uint8Array };

export function encodeAsk({ namespaceId, keys, count }: PeerAsk): Uint8Array {
  const body = new Uint8Array(ASK_HEAD_BYTES + count * KEY_BYTES);
  const view = new DataView(body.buffer);
  view.setUint32(0, KIND.ask, true);
  view.setUint32(4, count, true);
  body.set(namespaceId, 8);
  body.set(bytesOf(keys.subarray(0, count * KEY_WORDS)), ASK_HEAD_BYTES);
  return body;
}

export function encodeDone(ticket: Uint8Array): Uint8Array {
  const body = new Uint8Array(DONE_BYTES);
  new DataView(body.buffer).setUint32(0, KIND.done, true);
  body.set(ticket, 8);
  return body;
}

export function encodeHold({ namespaceId, keys, count, ttlMs }: PeerHold): Uint8Array {
  const body = new Uint8Array(HOLD_HEAD_BYTES + count * KEY_BYTES);
  const view = new DataView(body.buffer);
  view.setUint32(0, KIND.hold, true);
  view.setUint32(4, count, true);
  body.set(namespaceId, 8);
  view.setUint32(24, ttlMs, true);
  body.set(bytesOf(keys.subarray(0, count * KEY_WORDS)), HOLD_HEAD_BYTES);
  return body;
}

export function encodeHeld({ held, refused, freeBytes }: PeerHeld): Uint8Array {
  const body = new Uint8Array(HELD_BYTES);
  const view = new DataView(body.buffer);
  view.setUint32(0, held, true);
  view.setUint32(4, refused, true);
  view.setBigUint64(8, BigInt(freeBytes), true);
  return body;
}

/** The answer to a hold of `count` keys; `ERR_PROTOCOL` for anything else. */
export function decodeHeld(body: Uint8Array, count: number): PeerHeld {
  if (body.length !== HELD_BYTES) throw malformed('not an answer to a hold');
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const held = view.getUint32(0, true);
  const refused = view.getUint32(4, true);
  if (held + refused > count) throw malformed(`${held + refused} of ${count} keys`);
  return { held, refused, freeBytes: Number(view.getBigUint64(8, true)) };
}

/** Throws `ERR_PROTOCOL` for anything that is not exactly one of them. What it answers does not borrow `body`. */
export function decodeMessage(body: Uint8Array): PeerMessage {
  if (body.length < 8) throw malformed('too short');
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const kind = view.getUint32(0, true);
  if (kind === KIND.done) {
    if (body.length !== DONE_BYTES || view.getUint32(4, true) !== 0) throw malformed('not a ticket');
    return { kind: 'done', ticket: body.slice(8) };
  }
  const count = view.getUint32(4, true);
  if (kind === KIND.hold) return decodeHold(body, view, count);
  if (kind !== KIND.ask || count === 0 || count > PEER_BLOCKS_MAX)
    throw malformed(`kind ${kind}, ${count} keys`);
  if (body.length !== ASK_HEAD_BYTES + count * KEY_BYTES)
    throw malformed(`${count} keys in ${body.length} bytes`);
  const namespaceId = body.slice(8, ASK_HEAD_BYTES);
  return { kind: 'ask', namespaceId, keys: wordsOf(body.subarray(ASK_HEAD_BYTES)), count };
}

function decodeHold(body: Uint8Array, view: DataView, count: number): PeerMessage {
  if (count === 0 || count > PEER_BLOCKS_MAX || body.length !== HOLD_HEAD_BYTES + count * KEY_BYTES) {
    throw malformed(`${count} keys to hold in ${body.length} bytes`);
  }
  const ttlMs = view.getUint32(24, true);
  if (ttlMs > PUT_TTL_MS_MAX || view.getUint32(28, true) !== 0) throw malformed('not a hold');
  const namespaceId = body.slice(8, 24);
  return { kind: 'hold', namespaceId, keys: wordsOf(body.subarray(HOLD_HEAD_BYTES)), count, ttlMs };
}

export function encodeGrant({ ticket, address, lifeMs, rows, count }: PeerGrant): Uint8Array {
  const name = new TextEncoder().encode(address);
  const rowBytes = count * GRANT_ROW_BYTES;
  const body = new Uint8Array(GRANT_HEAD_BYTES + rowBytes + name.length);
  const view = new DataView(body.buffer);
  view.setUint32(0, count, true);
  view.setUint32(4, lifeMs, true);
  body.set(ticket, 8);
  view.setUint32(40, name.length, true);
  body.set(bytesOf(rows.subarray(0, count * GRANT_ROW_WORDS)), GRANT_HEAD_BYTES);
  body.set(name, GRANT_HEAD_BYTES + rowBytes);
  return body;
}

/** The answer to an ask of `count` keys; `ERR_PROTOCOL` for anything else. */
export function decodeGrant(body: Uint8Array, count: number): PeerGrant {
  if (body.length < GRANT_HEAD_BYTES) throw malformed('a short answer');
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const nameBytes = view.getUint32(40, true);
  const rowsEnd = GRANT_HEAD_BYTES + count * GRANT_ROW_BYTES;
  if (
    view.getUint32(0, true) !== count ||
    nameBytes > ADDRESS_BYTES_MAX ||
    body.length !== rowsEnd + nameBytes
  ) {
    throw malformed('an answer to something else');
  }
  return {
    ticket: body.slice(8, 8 + PEER_TICKET_BYTES),
    address: new TextDecoder().decode(body.subarray(rowsEnd)),
    lifeMs: view.getUint32(4, true),
    rows: wordsOf(body.subarray(GRANT_HEAD_BYTES, rowsEnd)),
    count,
  };
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** A copy: bodies are borrowed, and lie at any address. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer);
}

function malformed(what: string): RefillError {
  return new RefillError('ERR_PROTOCOL', `a malformed message of ${PEER_PROTOCOL}: ${what}`);
}
