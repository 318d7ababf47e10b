import type { Chance, Clock, Directory, SmallFiles } from '@refill/interface';
import { ClusterNode } from './cluster-node.ts';
import { FindRemote } from './find-remote.ts';
import { HeardRemovals } from './heard-removals.ts';
import { Heartbeat, type NodeIdentity } from './heartbeat.ts';
import { HeldLease } from './held-lease.ts';
import { LastCheckpoint } from './last-checkpoint.ts';
import { LocationCache } from './location-cache.ts';
import { NodeNotes } from './node-notes.ts';
import { Persist } from './persist.ts';
import { RemoteDirectory } from './remote-directory.ts';
import { type ServiceChannel, ServiceLink } from './service-link.ts';

export interface RemoteParts {
  /** The way to the metadata service: `controlChannel`, or `localChannel` in its own process. */
  channel: ServiceChannel;
  /** The shared file system, where checkpoints are. */
  files: SmallFiles;
  clock: Clock;
  chance: Pick<Chance, 'bytes'>;
  log: { error(format: string, ...args: unknown[]): void };
}

export interface RemoteOptions extends NodeIdentity {
  /** Memory of cached locations, and of the last checkpoint while the service is away. Default 256 MiB, 512 MiB. */
  cacheBytes?: number;
  checkpointBytes?: number;
  /** How long a lookup waits for the service before it answers from what is known here. Default 1 s. */
  lookupMs?: number;
  /** How long a change waits for the service, and how many rows may wait. Default 30 s, 65,536. */
  writeDeadlineMs?: number;
  writeRowsMax?: number;
  /** How long `start` tries to join. Default 30 s. */
  joinMs?: number;
}

export interface RemoteMetadata {
  readonly directory: Directory;
  /** Starts and stops the directory too. Its `lease.epoch` after `start` is the store's. */
  readonly cluster: ClusterNode;
}

const MIB = 2 ** 20;

/**
 * A node's directory and cluster over a metadata service that is somewhere else.
 * @example
 * const channel = controlChannel(control, { peer, addresses });
 * const { directory, cluster } = createRemoteMetadata(
 *   { channel, files: io, clock, chance, log },
 *   { node: 'gpu-17', control: control.self, dataAddress: peers.address },
 * );
 * await cluster.start();
 */
export function createRemoteMetadata(parts: RemoteParts, options: RemoteOptions): RemoteMetadata {
  const { channel, files, clock, chance, log } = parts;
  const { node, control, dataAddress } = options;
  const seed = new DataView(chance.bytes(new Uint8Array(4)).buffer).getUint32(0);
  const cache = new LocationCache({ seed, bytesMax: options.cacheBytes ?? 256 * MIB });
  const heard = new HeardRemovals({ seed });
  const checkpoint = new LastCheckpoint(
    { files, clock, log, heard },
    { seed, bytesMax: options.checkpointBytes ?? 512 * MIB },
  );
  const link = new ServiceLink({ channel, clock, cache, heard });
  const lease = new HeldLease(node, clock);
  const notes = new NodeNotes();
  const finder = new FindRemote({ link, cache, checkpoint }, { lookupMs: options.lookupMs ?? 1000 });
  const persist = new Persist(
    { link, lease, clock },
    {
      writeDeadlineMs: options.writeDeadlineMs ?? 30_000,
      writeRowsMax: options.writeRowsMax ?? 65_536,
    },
  );
  const directory = new RemoteDirectory({ link, lease, cache, checkpoint, notes, finder, persist });
  const heartbeat = new Heartbeat({
    ...{ link, lease, notes, clock, chance, log },
    identity: { node, control, dataAddress },
    readVersion: () => Math.min(link.localVersion, cluster.oldestReadVersion?.() ?? Number.POSITIVE_INFINITY),
    onBeat: (condemn, unlink, stats) => {
      directory.beat(condemn, unlink, stats);
      if (condemn.length + unlink.length > 0) cluster.onReclaimable?.();
    },
    onResidencyAnew: () =>
      cluster.residents?.((namespace, keys, at) => notes.note(namespace, keys, at, true)),
  });
  const cluster: ClusterNode = new ClusterNode(
    { link, lease, notes, heartbeat, directory, clock },
    { joinMs: options.joinMs ?? 30_000 },
  );
  persist.onFenced = () => heartbeat.beat();
  link.onRemoved = (namespace, key) => cluster.onRemoved?.(namespace, key);
  link.onRemovalsMissed = (isNewDirectory) => cluster.onRemovalsMissed?.(isNewDirectory);
  return { directory, cluster };
}
