import type { Logger } from '@libp2p/interface';
import type { MetadataEngine } from '@refill/interface';
import { createDirectory, LevelEngine, type LocalDirectory } from '@refill/metadata';
import { createBlockIO, hugeMemory, type NativeBlockIO } from '@refill/native-io';
import type { Config } from './config/fields.ts';
import { type NodePaths, nodePaths } from './config/paths.ts';
import { takeIdentity } from './identity.ts';
import { makeFolder } from './make-folder.ts';
import { openRoot, ROOT_FOLDERS, type Root } from './root.ts';
import { systemChance, systemClock } from './system-clock.ts';
import type { Unwind } from './unwind.ts';

/** The root, taken for this process, and the engine that reads and writes it. */
export interface RootParts {
  root: Root;
  paths: NodePaths;
  io: NativeBlockIO;
}

/** What a node with metadata of its own and a rebuild need. */
export interface OpenParts extends RootParts {
  directory: LocalDirectory;
}

/**
 * In this order, each step undone in reverse by `unwind`: root; state and its database, whose lock costs nothing to
 * find taken; engine and arena; name; directory.
 */
export async function openParts(config: Config, log: Logger, unwind: Unwind): Promise<OpenParts> {
  const engines: MetadataEngine[] = [];
  const opened = await openRootParts(config, unwind, 'metadata', async ({ database }) => {
    const engine = new LevelEngine({ path: database });
    await engine.start();
    unwind.push('metadata database', () => engine.stop());
    engines.push(engine);
  });
  const directory = createDirectory(
    {
      engine: engines[0]!,
      files: opened.io,
      clock: systemClock,
      chance: systemChance,
      log: log.newScope('metadata'),
      memory: hugeMemory(),
    },
    { memoryBudgetBytes: config.indexMemoryBytes },
  );
  await directory.start();
  unwind.push('directory', () => directory.stop());
  return { ...opened, directory };
}

/** The root alone, for a node whose metadata is elsewhere. `role` says which locks are taken: see `takeIdentity`. */
export async function openRootParts(
  config: Config,
  unwind: Unwind,
  role: 'metadata' | 'member',
  withState: (paths: NodePaths) => Promise<void> = async () => {},
): Promise<RootParts> {
  const root = await openRoot(config.root, { clock: systemClock, chance: systemChance });
  const paths = nodePaths(config, root.clusterId);
  await makeFolder(paths.state, 0o700);
  await withState(paths);
  const io = await createBlockIO({
    root: root.path,
    arenaBytes: config.arenaBytes,
    engine: config.engine,
    direct: config.direct,
    lanes: { read: config.readLanes, write: config.writeLanes },
    fdSocketPath: paths.fdSocket,
  });
  unwind.push('engine', () => io.stop());
  for (const folder of ROOT_FOLDERS) await io.mkdir(folder);
  await takeIdentity(io, config.node, { root: root.path, clock: systemClock, role });
  return { root, paths, io };
}
