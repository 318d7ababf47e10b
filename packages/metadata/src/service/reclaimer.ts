import { type Clock, invariant, type SegmentRecord } from '@refill/interface';
import type { LocalDirectory } from '../directory.ts';
import { RECLAIM_MAX } from '../protocol/message.ts';
import type { ServiceLease } from './node-lease.ts';

/** What one node is to do: condemn segments without a live block, unlink dead ones that nobody reads any more. */
export interface ReclaimTask {
  condemn: number[];
  unlink: number[];
}

const NOTHING: ReclaimTask = { condemn: [], unlink: [] };
/** How long one look over the segments answers everybody. */
const REFRESH_MS = 1000;

/**
 * Epoch-based reclamation: a dead segment was condemned at version V of the catalogue and may be unlinked when every
 * node that holds a lease has reported that its reads in flight rely on V or later. Work goes to the segment's owner,
 * or to one live node when the owner is gone. A service that has just started does not know who held a lease of its
 * former life, and lets nothing be unlinked until those have ended. A node without a lease may still read: it finds the file gone (R6).
 */
export class Reclaimer {
  readonly #directory: LocalDirectory;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #leases: () => Iterable<ServiceLease>;
  /** Version at which each dead segment was first seen dead: never before it was. */
  readonly #condemnedAt = new Map<number, number>();
  #tasks = new Map<string, ReclaimTask>();
  #refreshAtMs = Number.NEGATIVE_INFINITY;
  /** Leases of an earlier life of the service, which this one does not know, have ended by then. */
  readonly #unlinkFromMs: number;

  constructor(parts: {
    directory: LocalDirectory;
    clock: Pick<Clock, 'nowMs'>;
    leases: () => Iterable<ServiceLease>;
    leaseTtlMs: number;
  }) {
    this.#unlinkFromMs = parts.clock.nowMs() + parts.leaseTtlMs;
    this.#directory = parts.directory;
    this.#clock = parts.clock;
    this.#leases = parts.leases;
  }

  taskOf(node: string): ReclaimTask {
    if (this.#clock.nowMs() >= this.#refreshAtMs) {
      this.#refreshAtMs = this.#clock.nowMs() + REFRESH_MS;
      this.refresh();
    }
    return this.#tasks.get(node) ?? NOTHING;
  }

  refresh(): void {
    const leases = [...this.#leases()];
    const safeVersion = leases.reduce((least, { readVersion }) => Math.min(least, readVersion), Infinity);
    const present = new Set(leases.map(({ node }) => node));
    const heir = leases.find(({ state }) => state === 'live')?.node;
    this.#tasks = new Map();
    const dead = new Set<number>();
    for (const segment of this.#directory.segments()) {
      if (segment.liveBlocks > 0 || segment.state === 'open') continue;
      if (segment.state === 'dead') dead.add(segment.index);
      this.#assign(segment, present.has(segment.node) ? segment.node : heir, safeVersion);
    }
    for (const index of this.#condemnedAt.keys()) if (!dead.has(index)) this.#condemnedAt.delete(index);
  }

  #assign(segment: SegmentRecord, node: string | undefined, safeVersion: number): void {
    const { index } = segment;
    if (segment.state === 'dead' && !this.#condemnedAt.has(index))
      this.#condemnedAt.set(index, this.#directory.changes.version);
    if (node === undefined) return;
    const task = this.#tasks.get(node) ?? { condemn: [], unlink: [] };
    this.#tasks.set(node, task);
    if (segment.state !== 'dead') {
      if (task.condemn.length < RECLAIM_MAX) task.condemn.push(index);
    } else if (this.#mayUnlink(index, safeVersion) && task.unlink.length < RECLAIM_MAX) {
      invariant(segment.liveBlocks === 0, 'C1: only a segment without a live block is unlinked');
      task.unlink.push(index);
    }
  }

  #mayUnlink(index: number, safeVersion: number): boolean {
    return this.#clock.nowMs() >= this.#unlinkFromMs && this.#condemnedAt.get(index)! <= safeVersion;
  }
}
