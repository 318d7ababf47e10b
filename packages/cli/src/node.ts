import { mkdir } from 'node:fs/promises';
import type { Logger } from '@libp2p/interface';
import { type IoReport, type NodeStatus, RefillError } from '@refill/interface';
import { createDirectory, LevelEngine } from '@refill/metadata';
import { createBlockIO } from '@refill/native-io';
import { createArena, createSharedTier, createStoreNode, serveNode } from '@refill/store';
import type { Config } from './config/fields.ts';
import { loadConfig } from './config/load.ts';
import { nodePaths } from './config/paths.ts';
import { takeIdentity } from './identity.ts';
import { createLog } from './log.ts';
import { openRoot, ROOT_FOLDERS } from './root.ts';
import { systemChance, systemClock } from './system-clock.ts';
import { Unwind } from './unwind.ts';
import { VERSION } from './version.ts';

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
export function startNode(options: StartNodeOptions): Promise<RunningNode> {
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
 * In this order, each step undone in reverse: root; state and its database, whose lock costs nothing to find taken;
 * engine and arena; name; directory; epoch; recovery under that epoch; shared tier and node; socket last, so that a
 * client that can connect finds everything there.
 */
async function start(config: Config, log: Logger, unwind: Unwind): Promise<RunningNode> {
  const [clock, chance] = [systemClock, systemChance];
  const root = await openRoot(config.root, { clock, chance });
  const { state, database, socket, fdSocket } = nodePaths(config, root.clusterId);
  await mkdir(state, { recursive: true, mode: 0o700 });

  const engine = new LevelEngine({ path: database });
  await engine.start();
  unwind.push('metadata database', () => engine.stop());

  const io = await createBlockIO({
    root: root.path,
    arenaBytes: config.arenaBytes,
    engine: config.engine,
    direct: config.direct,
    lanes: { read: config.readLanes, write: config.writeLanes },
    fdSocketPath: fdSocket,
  });
  unwind.push('engine', () => io.stop());
  for (const folder of ROOT_FOLDERS) await io.mkdir(folder);
  await takeIdentity(io, config.node, { root: root.path, clock });

  const directory = createDirectory(
    { engine, files: io, clock, chance, log: log.newScope('metadata') },
    { memoryBudgetBytes: config.indexMemoryBytes },
  );
  await directory.start();
  unwind.push('directory', () => directory.stop());
  const epoch = await directory.acquireEpoch(config.node);

  const arena = createArena(io);
  const parts = { io, directory, scratch: arena.scratch, clock, chance, log: log.newScope('store') };
  const sharedTier = createSharedTier(parts, { node: config.node, epoch, segmentBytes: config.segmentBytes });
  const node = createStoreNode(
    { io, arena, directory, sharedTier, clock, chance, log: log.newScope('node') },
    {
      nodeName: config.node,
      clusterId: root.clusterId,
      root: root.path,
      version: VERSION,
      epoch,
      stopFlushMs: config.drainMs,
    },
  );
  await node.start();
  unwind.push('node', () => node.stop());

  const server = serveNode(
    { node, clock, log: log.newScope('server'), takePassedFd: (token) => io.takePassedFd(token) },
    { socketPath: socket, fdSocketPath: fdSocket },
  );
  await server.start();
  unwind.push('server', () => server.stop());

  let stopping: Promise<void> | undefined;
  return {
    socketPath: socket,
    nodeName: config.node,
    clusterId: root.clusterId,
    root: root.path,
    io: io.report,
    status: () => node.status(),
    stop: () => {
      stopping ??= unwind.run().then((error) => {
        if (error !== undefined)
          throw new RefillError(
            'ERR_STORAGE_FAILED',
            `the node did not stop cleanly: ${(error as Error).message}`,
            { cause: error },
          );
      });
      return stopping;
    },
  };
}
