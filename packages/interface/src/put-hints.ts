import { RefillError } from './errors.ts';
import { PUT_REPLICAS_MAX, PUT_TTL_MS_MAX } from './limits.ts';
import { LOOKUP_TIER } from './rows.ts';
import { padded } from './wire.ts';

/** Tiers that a put may prefer. */
export type PutTier = 'dram' | 'nvme' | 'shared';

/**
 * What a put prefers. A hint never makes a put fail because it could not be honoured, which is counted; one that
 * cannot be meant (out of range, or `dram` with durability `shared`) is an error of the caller.
 */
export interface PutHints {
  /**
   * `dram`: in memory only, never written to the shared file system unless a put with durability `shared` asks for it;
   * lost when it is evicted and with its node. Only with durability `memory`. `shared`: first to leave DRAM once it is
   * stored. `nvme`: kept on the local disk of the node when it leaves DRAM, where there is one.
   */
  tier?: PutTier;
  /** Kept in DRAM for this client as by `pin`, until `unpin` or the end of the connection. */
  pin?: boolean;
  /** Milliseconds after which the block is a miss, and then deleted: 1 to 2,592,000,000 (30 days). */
  ttlMs?: number;
  /** Name of a node that shall have it in DRAM too, once it is stored. */
  node?: string;
  /** Nodes that shall have it in DRAM once it is stored, this one included: 1 to 16. */
  replicas?: number;
}

/**
 * Hints in a frame with the flag `hinted`, in front of its rows: `ttlMs, tier, replicas, pin, bytes of the node's name,
 * 0`, then that name in UTF-8, padded to 8 bytes. 0 is no hint; `tier` is a `LOOKUP_TIER`.
 */
export const HINT_WORDS = 6;
export const HINT = { ttlMs: 0, tier: 1, replicas: 2, pin: 3, nodeBytes: 4, zero: 5 } as const;

/** Bytes of the name of a node, as others know it. */
export const PUT_NODE_BYTES_MAX = 256;

const TIERS: readonly PutTier[] = ['dram', 'nvme', 'shared'];
const utf8 = new TextEncoder();

/** The hints among these options, checked; `undefined` when there is none. Throws `TypeError` or `RangeError`. */
export function hintsOf(options: (PutHints & { durability?: string }) | undefined): PutHints | undefined {
  if (options === undefined) return undefined;
  const { tier, pin, ttlMs, node, replicas, durability } = options;
  if ((tier ?? pin ?? ttlMs ?? node ?? replicas) === undefined) return undefined;
  if (tier !== undefined && !TIERS.includes(tier)) {
    throw new TypeError(`tier must be 'dram', 'nvme' or 'shared', got ${JSON.stringify(tier)}`);
  }
  if (tier === 'dram' && durability === 'shared') {
    throw new TypeError(
      "tier is 'dram', which keeps a block off the shared file system, and durability is 'shared'; give one of them",
    );
  }
  if (pin !== undefined && typeof pin !== 'boolean') {
    throw new TypeError(`pin must be true or false, got ${JSON.stringify(pin)}`);
  }
  checkWhole('ttlMs', ttlMs, PUT_TTL_MS_MAX);
  checkWhole('replicas', replicas, PUT_REPLICAS_MAX);
  if (node !== undefined) checkName(node);
  return { tier, pin, ttlMs, node, replicas };
}

/** Bytes that hints take in a frame; 0 for none. */
export function hintBytes(hints: PutHints | undefined): number {
  if (hints === undefined) return 0;
  return HINT_WORDS * 4 + padded(hints.node === undefined ? 0 : utf8.encode(hints.node).length);
}

/** Writes hints at word `at`, which must be zero there. */
export function writeHints(words: Uint32Array, at: number, hints: PutHints): void {
  const name = hints.node === undefined ? new Uint8Array(0) : utf8.encode(hints.node);
  words[at + HINT.ttlMs] = hints.ttlMs ?? 0;
  words[at + HINT.tier] = hints.tier === undefined ? 0 : LOOKUP_TIER[hints.tier];
  words[at + HINT.replicas] = hints.replicas ?? 0;
  words[at + HINT.pin] = hints.pin === true ? 1 : 0;
  words[at + HINT.nodeBytes] = name.length;
  new Uint8Array(words.buffer, words.byteOffset + (at + HINT_WORDS) * 4, name.length).set(name);
}

/** Reads hints from the start of `words`, and how many bytes they take. `ERR_PROTOCOL`, `ERR_INVALID_ARGUMENT`. */
export function readHints(words: Uint32Array): { hints: PutHints; bytes: number } {
  const nodeBytes = words[HINT.nodeBytes] ?? 0;
  const bytes = HINT_WORDS * 4 + padded(Math.min(nodeBytes, PUT_NODE_BYTES_MAX));
  if (words.length * 4 < bytes || nodeBytes > PUT_NODE_BYTES_MAX || words[HINT.zero] !== 0) {
    throw new RefillError('ERR_PROTOCOL', 'the hints of a put do not fit their frame');
  }
  const tierNumber = words[HINT.tier]!;
  const tier = TIERS.find((name) => LOOKUP_TIER[name] === tierNumber);
  if ((tier === undefined && tierNumber !== 0) || words[HINT.pin]! > 1) {
    const [field, value] = words[HINT.pin]! > 1 ? ['pin', words[HINT.pin]] : ['tier', tierNumber];
    throw new RefillError('ERR_INVALID_ARGUMENT', `the hint ${field} is ${value}, which means nothing`);
  }
  const hints: PutHints = {};
  if (words[HINT.ttlMs] !== 0) hints.ttlMs = words[HINT.ttlMs]!;
  if (tier !== undefined) hints.tier = tier;
  if (words[HINT.replicas] !== 0) hints.replicas = words[HINT.replicas]!;
  if (words[HINT.pin] === 1) hints.pin = true;
  if (nodeBytes > 0) {
    const name = new Uint8Array(words.buffer, words.byteOffset + HINT_WORDS * 4, nodeBytes);
    hints.node = new TextDecoder().decode(name);
  }
  return { hints, bytes };
}

function checkWhole(field: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= max)) return;
  throw new RangeError(`${field} must be a whole number from 1 to ${max}, got ${String(value)}`);
}

function checkName(node: unknown): void {
  if (typeof node !== 'string' || node === '') {
    throw new TypeError(`node must be the name of a node, got ${JSON.stringify(node)}`);
  }
  const bytes = utf8.encode(node).length;
  if (bytes <= PUT_NODE_BYTES_MAX) return;
  throw new RangeError(`node must have at most ${PUT_NODE_BYTES_MAX} bytes, got ${bytes}`);
}
