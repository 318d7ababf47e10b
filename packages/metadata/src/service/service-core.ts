import { type Clock, type PeerName, RefillError } from '@refill/interface';
import type { LocalDirectory } from '../directory.ts';
import type { Stamp } from '../protocol/message.ts';
import type { WordReader } from '../protocol/words.ts';
import type { CommittedEnds } from './committed-ends.ts';
import type { FillLeases } from './fill-leases.ts';
import type { NodeLeases } from './node-leases.ts';
import type { Reclaimer } from './reclaimer.ts';
import type { Residency } from './residency.ts';

export interface MetadataServiceOptions {
  /** How long a node's lease lives without a heartbeat. Default 10 s. */
  leaseTtlMs: number;
  /** Nodes at a time, and names of nodes ever. Default 4,096 and 65,536. */
  membersMax: number;
  namesMax: number;
  /** Whether commits and removals wait for the disk of the service. Default true: no recovery runs when its host dies. */
  durableCommits: boolean;
  /** Between two checkpoints on the shared file system. Default 5 minutes. */
  checkpointMs: number;
  /** Waits for fill leases that may be open at a time. Default 65,536. */
  awaitsMax: number;
}

export interface ServiceCounters {
  requests: number;
  keysLookedUp: number;
  blocksCommitted: number;
  /** Changes under an epoch that was not the current one. */
  fenced: number;
  leasesEnded: number;
  checkpoints: number;
}

/** What all handlers share. */
export interface ServiceCore {
  readonly directory: LocalDirectory;
  readonly clock: Clock;
  readonly log: { error(format: string, ...args: unknown[]): void };
  readonly options: MetadataServiceOptions;
  readonly counters: ServiceCounters;
  readonly leases: NodeLeases;
  readonly residency: Residency;
  readonly fills: FillLeases;
  readonly reclaimer: Reclaimer;
  readonly ends: CommittedEnds;
  readonly session: number;
}

export interface ServiceRequest {
  readonly from: PeerName;
  readonly known: Stamp;
  readonly reader: WordReader;
}

export type ServiceHandler = (
  core: ServiceCore,
  request: ServiceRequest,
) => Uint32Array | Promise<Uint32Array>;

export const NO_WORDS: Uint32Array = new Uint32Array(0);

/**
 * Whoever changes anything names its node and epoch (invariant L3): `ERR_FENCED` unless that is the node's current
 * one and its indexes are of this directory, `ERR_UNAUTHORIZED` when the lease is another peer's.
 */
export function assertWriter(
  core: ServiceCore,
  { from, known }: ServiceRequest,
  node: string,
  epoch: number,
): void {
  const current = core.directory.epochOf(node);
  if (current !== epoch || epoch === 0 || known.incarnation !== core.directory.incarnation) {
    core.counters.fenced++;
    const why = current !== epoch ? `its current one is ${current}` : 'the directory was made anew';
    throw new RefillError('ERR_FENCED', `epoch ${epoch} of node ${node} may change nothing: ${why}`);
  }
  const lease = core.leases.byNode(node);
  if (lease?.peer !== undefined && lease.peer !== from) {
    throw new RefillError('ERR_UNAUTHORIZED', `the lease of ${node} is of another peer than ${from}`);
  }
}
