import type { Startable } from '@libp2p/interface';
import type { PeerAddress } from './control.ts';

/** Nodes that one lookup names as holders of a block: enough to choose from, little enough for every row. */
export const HOLDERS_MAX = 4;

/**
 * A node of the cluster as the metadata service knows it. `slot` stands for it in rows: 1 to 65,535, never another
 * node's in the life of one metadata service; 0 is nobody.
 */
export interface ClusterMember {
  readonly slot: number;
  readonly node: string;
  readonly epoch: number;
  readonly control: PeerAddress;
  /** Where its `PeerTransport` listens. */
  readonly dataAddress: string;
  /** `draining`: takes no new hot blocks, and goes. */
  readonly state: 'live' | 'draining';
}

/**
 * A node's right to write. The node judges it by its own monotonic clock, from before the renewal was sent, and ends
 * it earlier than the service does: so whoever holds it knows that nobody has taken over. Safety does not rest on it:
 * commits under an old epoch are refused (rule R4).
 */
export interface NodeLease {
  readonly node: string;
  /** Of the last grant; one that was lost is never granted again. */
  readonly epoch: number;
  readonly isHeld: boolean;
  /** Called when a new epoch was granted after a loss: everything open under the old one is to be abandoned. */
  onEpoch: ((epoch: number) => void) | undefined;
}

/** How much of a list of keys one node holds, for routers. */
export interface NodeShare {
  readonly member: ClusterMember;
  /** Keys from the first that it holds without a gap, and all that it holds. */
  readonly prefixBlocks: number;
  readonly blocks: number;
}

/** What became of one key of `acquireFill`. */
export const FILL_STATUS = {
  /** The caller holds it: compute the block and put it. */
  granted: 0,
  /** Another computes it; `remainingMs` says until when at most. */
  held: 1,
  /** It is there already. */
  present: 2,
} as const;
/** Answer to one key of `acquireFill`: `status, remainingMs`. */
export const FILL_ROW_WORDS = 2;
export const FILL_ROW = { status: 0, remainingMs: 1 } as const;

/**
 * What nodes know of one another through the metadata service: soft state all of it. Losing it costs time, never a
 * block and never a wrong byte. Calls that ask the service reject with `ERR_METADATA_UNAVAILABLE` when it is away and
 * `ERR_DEADLINE` at the deadline.
 */
export interface Cluster extends Startable {
  readonly lease: NodeLease;
  readonly members: readonly ClusterMember[];
  /** The metadata service did not answer last: reads go on from what is known, writes wait until it is back. */
  readonly isServiceAway: boolean;
  member(slot: number): ClusterMember | undefined;

  /** Nodes by how much of the keys they hold, best first, at most `limit`. */
  locate(
    namespace: number,
    keys: Uint32Array,
    count: number,
    limit: number,
    deadlineMs: number,
  ): Promise<NodeShare[]>;

  /** Tells routers and other nodes to bring nothing new here: this node leaves. There is no way back but a restart. */
  drain(): void;

  /** Notes that this node now holds a block in its DRAM, or no longer. Cheap; travels with the next heartbeat. */
  noteResident(namespace: number, keys: Uint32Array, at: number, isResident: boolean): void;
  /** Tells everything resident anew, after the service forgot: calls `note` for each. Set by the store. */
  residents: ((note: (namespace: number, keys: Uint32Array, at: number) => void) => void) | undefined;
  /** Oldest directory version that a read in flight may still rely on; set by the store. */
  oldestReadVersion: (() => number) | undefined;
  /**
   * Called for each block that was deleted, by whichever node, when this node hears of it: with the next answer of the
   * service, 2 s later at most. The key is lent for the call. Set by the store.
   */
  onRemoved: ((namespace: number, key: Uint32Array) => void) | undefined;
  /**
   * Called when deletions were not told one by one: anything held here may have been deleted, and put again.
   * `isNewDirectory`: indexes of segments mean others than before. Set by the store.
   */
  onRemovalsMissed: ((isNewDirectory: boolean) => void) | undefined;
  /** Called when `Directory.reclaimable` has something for this node; set by the store. */
  onReclaimable: (() => void) | undefined;

  /**
   * Takes the fill leases of those keys that are neither present nor held; `rows` are `FILL_ROW`s. `holder` is any
   * number that stands for the client on this node. A lease ends by `lifeMs`, `releaseFills`, or with its node's lease.
   */
  acquireFills(
    namespace: number,
    keys: Uint32Array,
    count: number,
    holder: number,
    lifeMs: number,
    rows: Uint32Array,
    deadlineMs: number,
  ): Promise<void>;
  /** Settles when no key is held by another any more, or at the deadline. Answers how many are present. */
  awaitFills(namespace: number, keys: Uint32Array, count: number, deadlineMs: number): Promise<number>;
  /** Gives back every fill lease of this holder. */
  releaseFills(holder: number): void;
}
