import { type ClusterMember, type DrainStatus, KEY_WORDS, RefillError } from '@refill/interface';
import { doneBy } from './deadline.ts';
import type { NodeCore } from './node-parts.ts';

/** Clients that have reserved may commit for so long; then they are counted, and lose what they hold. */
const RESERVATIONS_MS = 5_000;
const POLL_MS = 20;
/** Between tries of stores that failed. */
const RETRY_MS = 500;
/** Blocks of one request: some tens of megabytes, which a member has read before its asker gives up. */
const HAND_BLOCKS_MAX = 64;
/** Requests to others under way. */
const LANES = 4;
/** The answer of the drain goes out before its node ends. */
const FAREWELL_MS = 20;

/** Throws `ERR_NODE_DRAINING` when this node leaves, with the names of those that stay. */
export function checkTakesPuts(core: NodeCore): void {
  if (!core.draining) return;
  const { cluster, options } = core;
  const others = (cluster?.members ?? []).filter(
    ({ node, state }) => node !== options.nodeName && state === 'live',
  );
  const names = others.slice(0, 4).map(({ node }) => node);
  throw new RefillError('ERR_NODE_DRAINING', `node ${options.nodeName} is leaving and takes no puts`, {
    fix: names.length === 0 ? 'Start it again' : `Put on another node: ${names.join(', ')}`,
  });
}

export interface DrainParts {
  core: NodeCore;
  /** Reservations of all sessions. */
  reservations(): number;
}

/** A hot block on its way to another node. */
interface Hot {
  namespace: number;
  key: Uint32Array;
  lengthBytes: number;
}

/**
 * A node leaves, in order: no more puts and fill leases, and others hear that it leaves; reservations are committed or
 * given up; everything is stored; others are asked to hold its hottest blocks, which by then can be read from the
 * shared file system as well as from here. A crash in between leaves what a crash always leaves.
 */
export class Drain {
  /** Called when it is complete, if it is to end the node. */
  onComplete: (() => void) | undefined;
  readonly #parts: DrainParts;
  #status: DrainStatus | undefined;
  #running: Promise<DrainStatus> | undefined;

  constructor(parts: DrainParts) {
    this.#parts = parts;
  }

  /** How far it is; absent unless it was asked for. */
  get status(): DrainStatus | undefined {
    return this.#status && { ...this.#count() };
  }

  /** Callers of one time share it, each up to its own deadline. */
  async run(options: { hotBytes: number; deadlineMs: number; stay?: boolean }): Promise<DrainStatus> {
    const { core } = this.#parts;
    const { clock } = core;
    const deadlineAtMs = clock.nowMs() + options.deadlineMs;
    core.draining = true;
    core.cluster?.drain();
    this.#giveFillsBack();
    this.#running ??= this.#drain(options.hotBytes, deadlineAtMs).finally(() => {
      this.#running = undefined;
    });
    await doneBy(clock, deadlineAtMs, this.#running);
    const status = this.#count();
    if (status.isComplete && options.stay !== true) clock.after(FAREWELL_MS, () => this.onComplete?.());
    return status;
  }

  #giveFillsBack(): void {
    const { fills, cluster } = this.#parts.core;
    for (const holder of fills.holders()) {
      fills.release(holder);
      cluster?.releaseFills(holder);
    }
  }

  async #drain(hotBytes: number, deadlineAtMs: number): Promise<DrainStatus> {
    const { core, reservations } = this.#parts;
    const { clock, behind, tier } = core;
    const blank = { hotBlocks: 0, hotBytes: 0, heldBlocks: 0, heldBytes: 0, refusedBlocks: 0, holders: [] };
    const counts = { backlogBytes: 0, unstoredBlocks: 0, reservations: 0 };
    this.#status = { phase: 'flushing', isComplete: false, ...counts, ...blank };
    const pause = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
    const reservedUntilMs = Math.min(deadlineAtMs, clock.nowMs() + RESERVATIONS_MS);
    while (reservations() > 0 && clock.nowMs() < reservedUntilMs) await pause(POLL_MS);
    for (;;) {
      const isDone = await doneBy(clock, deadlineAtMs, behind.drain());
      if (!isDone) return this.#count();
      if (tier.unstored === 0 && behind.backlogBytes === 0) break;
      if (clock.nowMs() + RETRY_MS >= deadlineAtMs) return this.#count();
      await pause(RETRY_MS);
    }
    this.#status.phase = 'handing';
    await this.#handOver(hotBytes, deadlineAtMs);
    if (clock.nowMs() <= deadlineAtMs) this.#status.phase = 'done';
    return this.#count();
  }

  /** What is left as of now. */
  #count(): DrainStatus {
    const { core, reservations } = this.#parts;
    const status = this.#status!;
    status.backlogBytes = core.behind.backlogBytes;
    status.unstoredBlocks = core.tier.unstored;
    status.reservations = reservations();
    const nothingLeft = status.backlogBytes === 0 && status.unstoredBlocks === 0;
    status.isComplete = nothingLeft && status.phase === 'done';
    return status;
  }

  async #handOver(hotBytes: number, deadlineAtMs: number): Promise<void> {
    const { core } = this.#parts;
    const status = this.#status!;
    const parts = this.#hottest(hotBytes);
    if (core.placement.candidates().length === 0) {
      status.refusedBlocks = status.hotBlocks;
      return;
    }
    const lane = async (): Promise<void> => {
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        if (core.clock.nowMs() >= deadlineAtMs) return;
        await this.#hand(part);
      }
    };
    const lanes = Promise.all(Array.from({ length: LANES }, lane));
    await doneBy(core.clock, deadlineAtMs, lanes);
  }

  /** Offers blocks to one member after the other until one takes them; what it takes of them is enough. */
  async #hand(part: readonly Hot[]): Promise<void> {
    const { core } = this.#parts;
    const status = this.#status!;
    const keys = new Uint32Array(part.length * KEY_WORDS);
    for (const [i, { key }] of part.entries()) keys.set(key, i * KEY_WORDS);
    for (const member of core.placement.candidates()) {
      const held = await this.#ask(member, part[0]!.namespace, keys, part.length);
      if (held === 0) continue;
      status.heldBlocks += held;
      // Those at the head are read first; which of them were refused is not told one by one.
      for (const { lengthBytes } of part.slice(0, held)) status.heldBytes += lengthBytes;
      status.refusedBlocks += part.length - held;
      const holder = status.holders.find(({ node }) => node === member.node);
      if (holder === undefined) status.holders.push({ node: member.node, blocks: held });
      else holder.blocks += held;
      return;
    }
    status.refusedBlocks += part.length;
  }

  async #ask(member: ClusterMember, namespace: number, keys: Uint32Array, count: number): Promise<number> {
    const { core } = this.#parts;
    try {
      return (await core.placement.ask(member, namespace, keys, count, 0)).held;
    } catch (error) {
      core.log.error('%s was asked to hold %d blocks: %s', member.node, count, (error as Error).message);
      return 0;
    }
  }

  /** The hottest stored blocks, in parts of one namespace. */
  #hottest(hotBytes: number): Hot[][] {
    const { tier, expiry } = this.#parts.core;
    const status = this.#status!;
    const parts: Hot[][] = [];
    const open = new Map<number, Hot[]>();
    tier.forEachHottest((id) => {
      const lengthBytes = tier.columns.lengthBytes[id]!;
      if (status.hotBytes + lengthBytes > hotBytes) return false;
      const key = new Uint32Array(KEY_WORDS);
      tier.copyKey(id, key, 0);
      const namespace = tier.namespaceOf(id);
      // Its deletion is this node's to make, which will not be there.
      if (expiry.has(namespace, key, 0)) return true;
      let part = open.get(namespace);
      if (part === undefined || part.length === HAND_BLOCKS_MAX) {
        part = [];
        parts.push(part);
        open.set(namespace, part);
      }
      part.push({ namespace, key, lengthBytes });
      status.hotBlocks++;
      status.hotBytes += lengthBytes;
      return true;
    });
    return parts;
  }
}
