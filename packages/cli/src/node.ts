import { closeSync } from 'node:fs';
import type { Logger } from '@libp2p/interface';
import { type IoReport, type NodeStatus, RefillError } from '@refill/interface';
import type { LocalDirectory } from '@refill/metadata';
import {
  createArena,
  createSharedTier,
  createStoreNode,
  type NodeComponents,
  PeerReader,
  peerSources,
  serveNode,
} from '@refill/store';
import type { joinCluster, Membership } from './cluster/join.ts';
import { isInCluster } from './cluster/roles.ts';
import type { Config } from './config/fields.ts';
import { loadConfig, refuseUnknown } from './config/load.ts';
import { createLog } from './log.ts';
import { openParts, openRootParts, type RootParts } from './parts.ts';
import { recoverRoot } from './recover.ts';
import { systemChance, systemClock } from './system-clock.ts';
import { Unwind } from './unwind.ts';
import { VERSION } from './version.ts';

/** A node that was fenced off joins again within a second where it can reach the service. */
const FENCED_HOLD_MS = 10_000;

/** What `startNode` takes: the configuration's fields by name, as flags would give them. Only `root` must be there. */
export type StartNodeOptions = { root: string } & Partial<
  Record<Exclude<keyof Config, 'root'>, string | number | boolean>
>;

export interface RunningNode {
  readonly socketPath: string;
  readonly nodeName: string;
  readonly clusterId: string;
  readonly root: string;
  readonly io: IoReport;
  status(): NodeStatus;
  /** Tells clients, drains write-behind within `drainMs`, seals segments, closes everything. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts a store node in this process: the composition root, where the real parts meet. Neither the environment nor
 * a file of configuration is looked at. Rejects with `ERR_CONFIG`, `ERR_NOT_A_ROOT`, `ERR_ROOT_TOO_NEW`,
 * `ERR_ROOT_READ_ONLY`, `ERR_NODE_IDENTITY_TAKEN`, `ERR_PLATFORM`; then everything it had started is stopped again.
 */
export async function startNode(options: StartNodeOptions): Promise<RunningNode> {
  refuseUnknown(options, 'option');
  return startConfigured(loadConfig({ flags: options, env: {}, file: null }).config);
}

/** As `startNode`, of a configuration that was loaded. */
export async function startConfigured(config: Config): Promise<RunningNode> {
  const log = createLog('refill', { level: config.logLevel, clock: systemClock });
  const unwind = new Unwind(log);
  try {
    return await start(config, log, unwind);
  } catch (error) {
    await unwind.run();
    throw error;
  }
}

/**
 * The parts; a rebuild where the database was lost; the place in the cluster, where there is one; shared tier and node;
 * socket last, so that a client that can connect finds everything there.
 */
async function start(config: Config, log: Logger, unwind: Unwind): Promise<RunningNode> {
  const [clock, chance] = [systemClock, systemChance];
  const { opened, local, epoch, formerNodes } = await openMetadata(config, log, unwind);
  const { root, paths, io } = opened;
  const membership = isInCluster(config) ? await join(config, opened, local, log, unwind) : undefined;
  const directory = membership?.directory ?? local!;
  const arena = createArena(io);
  const parts = { io, directory, scratch: arena.scratch, clock, chance, log: log.newScope('store') };
  const held = { node: config.node, epoch: membership?.cluster.lease.epoch ?? epoch };
  const sharedTier = createSharedTier(parts, {
    ...{ ...held, formerNodes, segmentBytes: config.segmentBytes },
    ...(membership && { fencedHoldMs: FENCED_HOLD_MS }),
  });
  const node = createStoreNode(
    {
      ...{ io, arena, directory, sharedTier, clock, chance, log: log.newScope('node') },
      ...(membership && peersOf(membership, config.node)),
    },
    {
      nodeName: config.node,
      clusterId: root.clusterId,
      root: root.path,
      version: VERSION,
      epoch: held.epoch,
      stopFlushMs: config.drainMs,
    },
  );
  await node.start();
  unwind.push('node', () => node.stop());

  const server = serveNode(
    {
      node,
      clock,
      log: log.newScope('server'),
      takePassedFd: (token) => {
        const fd = io.takePassedFd(token);
        return fd === undefined ? undefined : { fd, close: () => closeSync(fd) };
      },
    },
    { socketPath: paths.socket, fdSocketPath: paths.fdSocket },
  );
  await server.start();
  unwind.push('server', () => server.stop());

  let stopping: Promise<void> | undefined;
  return {
    socketPath: paths.socket,
    nodeName: config.node,
    clusterId: root.clusterId,
    root: root.path,
    io: io.report,
    status: () => node.status(),
    stop: () => {
      stopping ??= stop(unwind);
      return stopping;
    },
  };
}

/**
 * Where the metadata is in this process: its parts, whole and recovered under an epoch of this node. Elsewhere: the root
 * alone, for the service closes what this node left open.
 */
async function openMetadata(
  config: Config,
  log: Logger,
  unwind: Unwind,
): Promise<{ opened: RootParts; local?: LocalDirectory; epoch: number; formerNodes: string[] }> {
  if (config.metadata !== 'embedded') {
    return { opened: await openRootParts(config, unwind, 'member'), epoch: 0, formerNodes: [] };
  }
  const opened = await openParts(config, log, unwind);
  const { epoch, formerNodes } = await recoverRoot(config, opened, log);
  return { opened, local: opened.directory, epoch, formerNodes };
}

/** libp2p takes half a second of CPU to load, which a node that is alone does without. */
async function join(...args: Parameters<typeof joinCluster>): Promise<Membership> {
  const { joinCluster } = await import('./cluster/join.ts');
  return joinCluster(...args);
}

function peersOf(
  { cluster, control, transport, directory }: Membership,
  self: string,
): Pick<NodeComponents, 'cluster' | 'peers' | 'peer'> {
  const reader = new PeerReader({
    control,
    transport,
    clock: systemClock,
    namespaceIdOf: (index) => directory.namespace(index)?.id,
  });
  return {
    cluster,
    peers: { control, transport },
    peer: peerSources({ reader, cluster, clock: systemClock, self }),
  };
}

async function stop(unwind: Unwind): Promise<void> {
  // The clock's timers keep no process alive, and a program that only waits for this must not end before.
  const alive = setInterval(() => undefined, 2 ** 30);
  const error = (await unwind.run().finally(() => clearInterval(alive))) as Error | undefined;
  if (error === undefined) return;
  throw new RefillError('ERR_STORAGE_FAILED', `the node did not stop cleanly: ${error.message}`, {
    cause: error,
  });
}
