import type { ClusterMember, PeerAddress, PeerName } from '@refill/interface';

/**
 * A node's right to write, as the service sees it. `presumed`: a node wrote before this service started and may still
 * live; nobody knows its peer yet. `ending`: its time is over and its epoch is being raised.
 */
export interface ServiceLease {
  readonly node: string;
  readonly peer: PeerName | undefined;
  readonly slot: number;
  readonly epoch: number;
  /** One life of the node's process, and how often it asked in it: a request that comes twice is told by them. */
  readonly life: number;
  attempt: number;
  expiresAtMs: number;
  state: 'live' | 'draining' | 'presumed' | 'ending';
  /** Number of the last heartbeat whose notes were taken. */
  heartbeats: number;
  /** Reads in flight on the node rely on no older version of the catalogue. 0 until it has said. */
  readVersion: number;
  /** Fill leases that it holds. */
  fills: number;
  readonly control: PeerAddress;
  readonly dataAddress: string;
}

/** What a node says of itself when it joins. */
export interface JoinRequest {
  readonly node: string;
  readonly control: PeerAddress;
  readonly dataAddress: string;
  readonly life: number;
  readonly attempt: number;
  /** The epoch that it holds and would go on under, after the service forgot; 0 for a new one. */
  readonly resumeEpoch: number;
  /** The last one that it ran under: whatever the service forgot, a new one is above it. */
  readonly lastEpoch: number;
}

export function memberOf(lease: ServiceLease): ClusterMember {
  const { slot, node, epoch, control, dataAddress, state } = lease;
  return { slot, node, epoch, control, dataAddress, state: state === 'draining' ? 'draining' : 'live' };
}
