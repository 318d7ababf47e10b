import {
  FILL_ROW,
  FILL_ROW_WORDS,
  FILL_STATUS,
  HOLDERS_MAX,
  KEY_WORDS,
  KEYS_PER_CALL_MAX,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  type PeerName,
  RefillError,
} from '@refill/interface';
import { blockFingerprint } from '../protocol/fingerprint.ts';
import { WordWriter } from '../protocol/words.ts';
import type { FillWaiter } from './fill-leases.ts';
import type { ServiceLease } from './node-lease.ts';
import { NO_WORDS, type ServiceCore, type ServiceHandler } from './service-core.ts';

/** Longest that one request waits: the node asks again. */
const AWAIT_MS_MAX = 10_000;
/** Nodes that `locate` ranks at most. */
const LOCATE_MAX = 1024;

/** `namespace, limit, count, keys` -> `count, (slot, prefixBlocks, blocks)`, best first. */
export const handleLocate: ServiceHandler = (core, { reader }) => {
  const namespace = reader.word();
  const limit = Math.min(LOCATE_MAX, reader.word());
  const count = reader.count(KEYS_PER_CALL_MAX, KEY_WORDS);
  const keys = reader.words(count * KEY_WORDS);
  const shares = new Map<number, { slot: number; prefix: number; blocks: number }>();
  const print = new Uint32Array(2);
  const held = new Uint32Array(2);
  for (let i = 0; i < count; i++) {
    blockFingerprint(namespace, keys, i * KEY_WORDS, print);
    if (!core.residency.holders(print[0]!, print[1]!, held, 0)) continue;
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      const slot = (held[holder >>> 1]! >>> (16 * (holder & 1))) & 0xffff;
      if (slot === 0) break;
      const share = shares.get(slot) ?? { slot, prefix: 0, blocks: 0 };
      shares.set(slot, share);
      if (share.prefix === i) share.prefix++;
      share.blocks++;
    }
  }
  const ranked = [...shares.values()]
    .filter(({ slot }) => core.leases.bySlot(slot)?.state === 'live')
    .sort((a, b) => b.prefix - a.prefix || b.blocks - a.blocks || a.slot - b.slot)
    .slice(0, limit);
  const writer = new WordWriter(1 + 3 * ranked.length).word(ranked.length);
  for (const { slot, prefix, blocks } of ranked) writer.word(slot).word(prefix).word(blocks);
  return writer.finishWords();
};

/** `slot, epoch(2), namespace, holder(2), lifeMs, count, keys` -> fill rows. */
export const handleAcquireFills: ServiceHandler = async (core, { from, reader }) => {
  const lease = leaseOf(core, from, reader.word(), reader.wide());
  const namespace = reader.word();
  const holder = reader.wide();
  const lifeMs = reader.word();
  const count = reader.count(KEYS_PER_CALL_MAX, KEY_WORDS);
  const keys = reader.words(count * KEY_WORDS);
  const present = await presentOf(core, namespace, keys, count);
  const rows = new Uint32Array(count * FILL_ROW_WORDS);
  const print = new Uint32Array(2);
  for (let i = 0; i < count; i++) {
    const at = i * FILL_ROW_WORDS;
    if (present[i] === 1) {
      rows[at + FILL_ROW.status] = FILL_STATUS.present;
      continue;
    }
    blockFingerprint(namespace, keys, i * KEY_WORDS, print);
    const remainingMs = core.fills.take(print[0]!, print[1]!, lease, holder, lifeMs);
    rows[at + FILL_ROW.status] = remainingMs === 0 ? FILL_STATUS.granted : FILL_STATUS.held;
    rows[at + FILL_ROW.remainingMs] = Math.ceil(remainingMs === 0 ? lifeMs : remainingMs);
  }
  return rows;
};

/** `namespace, waitMs, count, keys` -> `present, held still`. */
export const handleAwaitFills: ServiceHandler = async (core, { reader }) => {
  const namespace = reader.word();
  const waitMs = Math.min(AWAIT_MS_MAX, reader.word());
  const count = reader.count(KEYS_PER_CALL_MAX, KEY_WORDS);
  // Kept over the wait, which the body of the request is too.
  const keys = reader.words(count * KEY_WORDS);
  const timedOut = await wait(core, namespace, keys, count, waitMs);
  const present = await presentOf(core, namespace, keys, count);
  return Uint32Array.of(
    present.reduce((sum, one) => sum + one, 0),
    timedOut ? 1 : 0,
  );
};

/** `slot, epoch(2), holder(2)` -> nothing. */
export const handleReleaseFills: ServiceHandler = (core, { from, reader }) => {
  const lease = leaseOf(core, from, reader.word(), reader.wide());
  core.fills.release(lease, reader.wide());
  return NO_WORDS;
};

/** Until none of the keys is held, or the time is over (true). */
function wait(
  core: ServiceCore,
  namespace: number,
  keys: Uint32Array,
  count: number,
  waitMs: number,
): Promise<boolean> {
  if (core.fills.waits >= core.options.awaitsMax) {
    throw new RefillError('ERR_LIMIT', `${core.fills.waits} calls wait for fill leases already`);
  }
  return new Promise((resolve) => {
    const print = new Uint32Array(2);
    const each = (act: (low: number, high: number) => void): void => {
      for (let i = 0; i < count; i++) {
        blockFingerprint(namespace, keys, i * KEY_WORDS, print);
        act(print[0]!, print[1]!);
      }
    };
    const end = (timedOut: boolean): void => {
      core.fills.waits--;
      resolve(timedOut);
    };
    let cancel = (): void => {};
    const waiter: FillWaiter = {
      remaining: 0,
      done: () => {
        cancel();
        end(false);
      },
    };
    core.fills.waits++;
    each((low, high) => core.fills.await(low, high, waiter));
    if (waiter.remaining === 0) {
      end(false);
      return;
    }
    cancel = core.clock.after(waitMs, () => {
      each((low, high) => core.fills.forget(low, high, waiter));
      end(true);
    });
  });
}

/** 1 for each block that is in a segment or in some node's memory. */
async function presentOf(
  core: ServiceCore,
  namespace: number,
  keys: Uint32Array,
  count: number,
): Promise<Uint8Array> {
  const rows = new Uint32Array(count * LOCATION_ROW_WORDS);
  await core.directory.lookup(namespace, keys, count, rows);
  core.residency.fill(namespace, keys, count, rows);
  const present = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const at = i * LOCATION_ROW_WORDS;
    if (rows[at + LOCATION_ROW.found] === 1 || rows[at + LOCATION_ROW.holdersLo] !== 0) present[i] = 1;
  }
  return present;
}

function leaseOf(core: ServiceCore, from: PeerName, slot: number, epoch: number): ServiceLease {
  const lease = core.leases.bySlot(slot);
  if (lease === undefined || lease.epoch !== epoch || lease.peer !== from || lease.state === 'ending')
    throw new RefillError('ERR_FENCED', 'fill leases are given to nodes that hold a lease');
  return lease;
}
