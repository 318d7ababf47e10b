import { type Clock, type ClusterMember, invariant, type PeerName, RefillError } from '@refill/interface';
import type { LocalDirectory } from '../directory.ts';
import { Turns } from '../turns.ts';
import { CHANGE } from './change-log.ts';
import { JoinRate } from './join-rate.ts';
import { type JoinRequest, memberOf, type ServiceLease } from './node-lease.ts';

export interface LeaseOptions {
  /** How long a lease lives without a heartbeat. */
  ttlMs: number;
  /** Leases at a time. */
  membersMax: number;
  /** Names that ever had an epoch. */
  namesMax: number;
}

export interface LeaseParts {
  directory: LocalDirectory;
  clock: Clock;
  log: { error(format: string, ...args: unknown[]): void };
  /** The lease is over, its epoch is not the current one any more: soft state of the node goes. */
  onEnd: (lease: ServiceLease) => void;
  /** End of what was committed of an open segment. */
  committedEnd: (segment: number) => number;
}

/** Slots of members are 16 bits, and none is given twice in a session. */
const SLOTS_MAX = 65_535;

/**
 * Leases of nodes. Joining, ending and leaving take turns, so that no two of them meet; heartbeats and commits only
 * look. Order of the end of a lease (invariant L2 of docs/internals/protocols.md), and what a crash leaves:
 * 1. the epoch is raised, durably              the node is fenced; a restart presumes it and ends it again
 * 2. its slot, residency and fills go          memory only
 * 3. its open segments are abandoned           those that are left are found by the presumption after a restart
 */
export class NodeLeases {
  readonly #parts: LeaseParts;
  readonly #options: LeaseOptions;
  readonly #byNode = new Map<string, ServiceLease>();
  readonly #bySlot = new Map<number, ServiceLease>();
  readonly #turns = new Turns();
  readonly #rate: JoinRate;
  #nextSlot = 1;

  constructor(parts: LeaseParts, options: LeaseOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#rate = new JoinRate(parts.clock);
  }

  /** Nodes that may hold open segments from before are given a whole life to renew. */
  start(): void {
    const nodes = new Set(
      this.#parts.directory.segments().flatMap(({ node, state }) => (state === 'open' ? [node] : [])),
    );
    for (const node of nodes) {
      const epoch = this.#parts.directory.epochOf(node);
      const control = { peer: '', addresses: [] };
      this.#byNode.set(node, {
        ...this.#fresh(
          { node, control, dataAddress: '', life: 0, attempt: 0, resumeEpoch: epoch, lastEpoch: epoch },
          epoch,
        ),
        peer: undefined,
        slot: 0,
        state: 'presumed',
      });
    }
  }

  /** Those that hold a lease, presumed ones too. */
  all(): Iterable<ServiceLease> {
    return this.#byNode.values();
  }

  get members(): ClusterMember[] {
    return [...this.#bySlot.values()].map(memberOf);
  }

  member(slot: number): ClusterMember | undefined {
    const lease = this.#bySlot.get(slot);
    return lease && memberOf(lease);
  }

  bySlot(slot: number): ServiceLease | undefined {
    return this.#bySlot.get(slot);
  }

  byNode(node: string): ServiceLease | undefined {
    return this.#byNode.get(node);
  }

  /** The lease of a heartbeat, renewed; `undefined` when there is no such lease (any more). */
  renew(from: PeerName, slot: number, epoch: number): ServiceLease | undefined {
    const lease = this.#bySlot.get(slot);
    if (lease === undefined || lease.peer !== from || lease.epoch !== epoch) return undefined;
    if (!this.#isCurrent(lease)) return undefined;
    lease.expiresAtMs = this.#parts.clock.nowMs() + this.#options.ttlMs;
    return lease;
  }

  setDraining(lease: ServiceLease): void {
    if (lease.state !== 'live') return;
    lease.state = 'draining';
    this.#parts.directory.changes.note(CHANGE.member, lease.slot);
  }

  /**
   * Gives a node a lease: under a new epoch, durable before anything else changes, or under the one that it still
   * holds after the service forgot. `ERR_NODE_IDENTITY_TAKEN` while another peer holds the name.
   */
  join(from: PeerName, request: JoinRequest): Promise<ServiceLease> {
    this.#rate.take(from);
    return this.#turns.run(async () => {
      const { directory } = this.#parts;
      const { node, life, attempt, resumeEpoch, lastEpoch } = request;
      const held = this.#byNode.get(node);
      const isOwn = held?.peer === from;
      if (
        held !== undefined &&
        isOwn &&
        held.life === life &&
        held.attempt >= attempt &&
        this.#isCurrent(held)
      )
        return held;
      if (held !== undefined && !isOwn && held.state !== 'presumed') {
        if (held.state !== 'ending' && !this.#isOver(held)) throw taken(held);
        await this.#end(held);
      }
      this.#assertRoom(from, node);
      const resumes =
        resumeEpoch !== 0 &&
        resumeEpoch === directory.epochOf(node) &&
        (held === undefined || held.state === 'presumed' || isOwn);
      const epoch = resumes ? resumeEpoch : await directory.acquireEpoch(node, lastEpoch);
      const before = this.#byNode.get(node);
      // Not abandoned: the same peer's new process recovers what its former one left open.
      if (before !== undefined) this.#drop(before);
      return this.#grant(from, request, epoch);
    });
  }

  /** The node goes: at once what would happen at the end of its lease. */
  leave(lease: ServiceLease): Promise<void> {
    return this.#turns.run(() => this.#end(lease));
  }

  /** A new epoch without a lease, for recovery and rebuild. `ERR_NODE_IDENTITY_TAKEN` while another holds the name. */
  acquireEpoch(from: PeerName, node: string): Promise<number> {
    this.#rate.take(from);
    return this.#turns.run(async () => {
      const held = this.#byNode.get(node);
      if (held !== undefined && held.state !== 'presumed' && held.peer !== from && !this.#isOver(held))
        throw taken(held);
      if (held !== undefined && held.state !== 'presumed') await this.#end(held);
      this.#assertName(node);
      return this.#parts.directory.acquireEpoch(node);
    });
  }

  /** Ends every lease whose time is over. One that fails is tried again by the next call. */
  async expire(): Promise<void> {
    for (const lease of [...this.#byNode.values()]) {
      if (!this.#isOver(lease)) continue;
      try {
        await this.#turns.run(async () => {
          // It may have been renewed or replaced while this waited for its turn.
          if (this.#byNode.get(lease.node) === lease && this.#isOver(lease)) await this.#end(lease);
        });
      } catch (error) {
        this.#parts.log.error('the lease of %s could not be ended: %o', lease.node, error);
      }
    }
  }

  async #end(lease: ServiceLease): Promise<void> {
    const { directory, committedEnd } = this.#parts;
    if (this.#byNode.get(lease.node) !== lease) return;
    if (lease.state !== 'presumed') lease.state = 'ending';
    if (directory.epochOf(lease.node) === lease.epoch) await directory.acquireEpoch(lease.node);
    invariant(
      directory.epochOf(lease.node) > lease.epoch,
      'L2: the epoch is raised before anything else of a node changes',
    );
    this.#drop(lease);
    for (const segment of directory.segments()) {
      if (segment.node !== lease.node || segment.epoch > lease.epoch || segment.state !== 'open') continue;
      await directory.moveSegment(segment.index, 'open', 'abandoned', committedEnd(segment.index));
    }
  }

  #drop(lease: ServiceLease): void {
    this.#byNode.delete(lease.node);
    if (lease.slot === 0) return;
    this.#bySlot.delete(lease.slot);
    this.#parts.directory.changes.note(CHANGE.member, lease.slot);
    this.#parts.onEnd(lease);
  }

  #grant(from: PeerName, request: JoinRequest, epoch: number): ServiceLease {
    invariant(!this.#byNode.has(request.node), 'L1: a node has at most one lease');
    const lease: ServiceLease = { ...this.#fresh(request, epoch), peer: from, slot: this.#nextSlot++ };
    this.#byNode.set(lease.node, lease);
    this.#bySlot.set(lease.slot, lease);
    this.#parts.directory.changes.note(CHANGE.member, lease.slot);
    return lease;
  }

  #fresh(request: JoinRequest, epoch: number): ServiceLease {
    const { node, control, dataAddress, life, attempt } = request;
    const expiresAtMs = this.#parts.clock.nowMs() + this.#options.ttlMs;
    const identity = { node, peer: undefined, slot: 0, epoch, life, control, dataAddress };
    return { ...identity, attempt, expiresAtMs, state: 'live', heartbeats: 0, readVersion: 0, fills: 0 };
  }

  #isOver(lease: ServiceLease): boolean {
    return lease.state === 'ending' || this.#parts.clock.nowMs() >= lease.expiresAtMs;
  }

  /** Whether nothing has fenced it: `acquireEpoch` of the directory may come from elsewhere too. */
  #isCurrent(lease: ServiceLease): boolean {
    return !this.#isOver(lease) && this.#parts.directory.epochOf(lease.node) === lease.epoch;
  }

  #assertRoom(from: PeerName, node: string): void {
    const { membersMax } = this.#options;
    let own = 0;
    for (const lease of this.#byNode.values()) if (lease.peer === from && lease.node !== node) own++;
    if (own > 0) throw new RefillError('ERR_LIMIT', `${from} holds a lease under another name already`);
    if (this.#byNode.size >= membersMax && !this.#byNode.has(node))
      throw new RefillError('ERR_LIMIT', `the cluster has ${membersMax} nodes, which is its limit`);
    if (this.#nextSlot > SLOTS_MAX)
      throw new RefillError('ERR_LIMIT', 'no slots for members are left', {
        fix: 'Restart the metadata service; nothing is lost by it',
      });
    this.#assertName(node);
  }

  #assertName(node: string): void {
    const { directory } = this.#parts;
    const { namesMax } = this.#options;
    if (directory.epochOf(node) === 0 && directory.nodesKnown >= namesMax)
      throw new RefillError('ERR_LIMIT', `${namesMax} names of nodes were ever used, which is the limit`);
  }
}

function taken(held: ServiceLease): RefillError {
  return new RefillError('ERR_NODE_IDENTITY_TAKEN', `node ${held.node} is alive as ${held.peer}`, {
    fix: 'Give this node a name of its own, or stop the other and wait for its lease to end',
  });
}
