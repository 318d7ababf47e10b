import {
  type Cluster,
  type ClusterMember,
  type Directory,
  FILL_ROW,
  FILL_ROW_WORDS,
  FILL_STATUS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  type NodeLease,
  type NodeShare,
} from '@refill/interface';

/**
 * A cluster of one node, whose directory is its own: the lease is always held, nobody else holds anything, and
 * whoever misses a block may compute it.
 */
export function embeddedCluster(
  directory: Directory,
  { node, epoch }: { node: string; epoch: number },
): Cluster {
  return new EmbeddedCluster(directory, node, epoch);
}

class EmbeddedCluster implements Cluster {
  readonly lease: NodeLease;
  readonly members: readonly ClusterMember[];
  residents: Cluster['residents'];
  oldestReadVersion: Cluster['oldestReadVersion'];
  onRemoved: Cluster['onRemoved'];
  onRemovalsMissed: Cluster['onRemovalsMissed'];
  onReclaimable: Cluster['onReclaimable'];
  readonly #directory: Directory;

  constructor(directory: Directory, node: string, epoch: number) {
    this.#directory = directory;
    this.lease = { node, epoch, isHeld: true, onEpoch: undefined };
    const control = { peer: '', addresses: [] };
    this.members = [{ slot: 1, node, epoch, control, dataAddress: '', state: 'live' }];
  }

  start(): void {}

  stop(): void {}

  member(slot: number): ClusterMember | undefined {
    return this.members[slot - 1];
  }

  async locate(): Promise<NodeShare[]> {
    return [];
  }

  noteResident(): void {}

  async acquireFills(
    namespace: number,
    keys: Uint32Array,
    count: number,
    _holder: number,
    lifeMs: number,
    rows: Uint32Array,
  ): Promise<void> {
    const locations = new Uint32Array(count * LOCATION_ROW_WORDS);
    await this.#directory.lookup(namespace, keys, count, locations);
    for (let i = 0; i < count; i++) {
      const isThere = locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found] === 1;
      const at = i * FILL_ROW_WORDS;
      rows[at + FILL_ROW.status] = isThere ? FILL_STATUS.present : FILL_STATUS.granted;
      rows[at + FILL_ROW.remainingMs] = isThere ? 0 : lifeMs;
    }
  }

  async awaitFills(namespace: number, keys: Uint32Array, count: number): Promise<number> {
    const locations = new Uint32Array(count * LOCATION_ROW_WORDS);
    await this.#directory.lookup(namespace, keys, count, locations);
    let present = 0;
    for (let i = 0; i < count; i++) present += locations[i * LOCATION_ROW_WORDS + LOCATION_ROW.found]!;
    return present;
  }

  releaseFills(): void {}
}
