import type {
  BlockNamespace,
  BlockStore,
  CallOptions,
  Durability,
  Key,
  PutOutcome,
  Reservation,
} from '@refill/interface';
import { KEY_BYTES, KEYS_PER_CALL_MAX, packKeys, RefillError } from '@refill/interface';
import type { BusyTime } from './busy-time.ts';
import type { TraceKeys } from './keys.ts';
import { fillPayload, findPayloadMismatch } from './payload.ts';

/** How often a full arena is answered by waiting for write-behind before the block is given up. */
const FULL_RETRIES = 3;
const SAMPLES_MAX = 10;

export interface Counts {
  requests: number;
  blocksHit: number;
  /** Requests with at least one block hit. */
  prefixes: number;
  bytesRead: number;
  bytesWritten: number;
  mismatches: number;
  mismatchSamples: string[];
  promisedMisses: number;
  puts: Record<PutOutcome, number>;
}

export interface RequestContext {
  store: BlockStore;
  namespace: BlockNamespace;
  keys: TraceKeys;
  blockBytes: number;
  /** Blocks read or written in one call, so that views and reservations fit the arena. */
  pieceBlocks: number;
  durability: Durability;
  call: CallOptions;
  reading: BusyTime;
  writing: BusyTime;
  counts: Counts;
}

/** Replayed blocks of different shape are different caches, so shape is part of the namespace. */
export function openReplayNamespace(
  store: BlockStore,
  tokensPerBlock: number,
  blockBytes: number,
): Promise<BlockNamespace> {
  return store.namespace({
    name: `replay/${tokensPerBlock}x${blockBytes}`,
    model: 'replay',
    dtype: 'uint8',
    layout: `stamped-pages/${blockBytes}`,
    tokensPerBlock,
    hashScheme: 'sha256-scope-id',
  });
}

/** One request as an engine serves it: match, read and verify the prefix, put what is missing. */
export async function runRequest(context: RequestContext, hashIds: readonly number[]): Promise<void> {
  const { counts } = context;
  const keys = hashIds.map((id) => context.keys.key(id));
  const hits = await readPrefix(context, keys, await matchPrefix(context, packKeys(keys)));
  await putRest(context, keys, hits);
  counts.requests++;
  counts.blocksHit += hits;
  if (hits > 0) counts.prefixes++;
}

async function matchPrefix({ namespace, call }: RequestContext, packed: Uint8Array): Promise<number> {
  const stepBytes = KEYS_PER_CALL_MAX * KEY_BYTES;
  for (let at = 0; ; at += stepBytes) {
    const part = packed.subarray(at, at + stepBytes);
    const matched = part.length === 0 ? 0 : await namespace.matchPrefix(part, call);
    if (matched * KEY_BYTES < stepBytes) return at / KEY_BYTES + matched;
  }
}

/** Reads and verifies up to `matched` blocks and answers how many leading ones came back. */
async function readPrefix(context: RequestContext, keys: readonly Key[], matched: number): Promise<number> {
  const { counts, namespace, reading, call } = context;
  for (let at = 0; at < matched; at += context.pieceBlocks) {
    const piece = keys.slice(at, Math.min(matched, at + context.pieceBlocks));
    using answer = await reading.during(namespace.getMany(piece, call));
    for (let i = 0; i < piece.length; i++) {
      const view = answer.views[i];
      if (view === undefined) {
        counts.promisedMisses += matched - at - i;
        return at + i;
      }
      counts.bytesRead += view.bytes.length;
      verify(context, piece[i]!, view.bytes);
    }
  }
  return matched;
}

function verify({ counts, blockBytes }: RequestContext, key: Key, bytes: Uint8Array): void {
  const offset = bytes.length === blockBytes ? findPayloadMismatch(key, bytes) : 0;
  if (offset === -1) return;
  counts.mismatches++;
  if (counts.mismatchSamples.length < SAMPLES_MAX) {
    const wanted = bytes.length === blockBytes ? '' : `, ${bytes.length} bytes instead of ${blockBytes}`;
    counts.mismatchSamples.push(`${Buffer.from(key).toString('hex')} at ${offset}${wanted}`);
  }
}

async function putRest(context: RequestContext, keys: readonly Key[], from: number): Promise<void> {
  const { counts, writing, durability, call, blockBytes } = context;
  for (let at = from; at < keys.length; at += context.pieceBlocks) {
    const piece = keys.slice(at, at + context.pieceBlocks);
    const reservations = await reserve(context, piece, at === 0 ? undefined : keys[at - 1]);
    if (reservations === undefined) {
      counts.puts.noRoom += piece.length;
      continue;
    }
    const commits: Promise<PutOutcome>[] = [];
    for (let i = 0; i < piece.length; i++) {
      const reservation = reservations[i];
      if (reservation === undefined) {
        counts.puts.exists++;
        continue;
      }
      fillPayload(piece[i]!, reservation.bytes);
      commits.push(reservation.commit({ durability, ...call }));
    }
    for (const outcome of await writing.during(Promise.all(commits))) {
      counts.puts[outcome]++;
      if (outcome === 'stored') counts.bytesWritten += blockBytes;
    }
  }
}

/** Room for a piece; `undefined` when the arena stays full although write-behind was waited for. */
async function reserve(
  { store, namespace, blockBytes, call }: RequestContext,
  keys: readonly Key[],
  parent: Key | undefined,
): Promise<(Reservation | undefined)[] | undefined> {
  const blocks = keys.map((key, i) => {
    const before = i === 0 ? parent : keys[i - 1];
    return { key, lengthBytes: blockBytes, ...(before === undefined ? {} : { parent: before }) };
  });
  for (let attempt = 0; ; attempt++) {
    try {
      return await namespace.reserveMany(blocks, call);
    } catch (error) {
      if (!(error instanceof RefillError && error.code === 'ERR_ARENA_FULL')) throw error;
      if (attempt === FULL_RETRIES) return undefined;
      await store.flush(call);
    }
  }
}
