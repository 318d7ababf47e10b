import type { Logger } from '@libp2p/interface';
import type { Directory } from '@refill/interface';
import { createDirectory, LevelEngine } from '@refill/metadata';
import { createBlockIO, hugeMemory, type NativeBlockIO } from '@refill/native-io';
import type { Config } from './config/fields.ts';
import { type NodePaths, nodePaths } from './config/paths.ts';
import { takeIdentity } from './identity.ts';
import { makeFolder } from './make-folder.ts';
import { openRoot, ROOT_FOLDERS, type Root } from './root.ts';
import { systemChance, systemClock } from './system-clock.ts';
import type { Unwind } from './unwind.ts';

/** What both a node and a rebuild need: the root, taken for this process, and its directory. */
export interface OpenParts {
  root: Root;
  paths: NodePaths;
  io: NativeBlockIO;
  directory: Directory;
}

/**
 * In this order, each step undone in reverse by `unwind`: root; state and its database, whose lock costs nothing to
 * find taken; engine and arena; name; directory.
 */
export async function openParts(config: Config, log: Logger, unwind: Unwind): Promise<OpenParts> {
  const [clock, chance] = [systemClock, systemChance];
  const root = await openRoot(config.root, { clock, chance });
  const paths = nodePaths(config, root.clusterId);
  await makeFolder(paths.state, 0o700);

  const engine = new LevelEngine({ path: paths.database });
  await engine.start();
  unwind.push('metadata database', () => engine.stop());

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
  await takeIdentity(io, config.node, { root: root.path, clock });

  const directory = createDirectory(
    {
      engine,
      files: io,
      clock,
      chance,
      log: log.newScope('metadata'),
      memory: hugeMemory(),
    },
    { memoryBudgetBytes: config.indexMemoryBytes },
  );
  await directory.start();
  unwind.push('directory', () => directory.stop());
  return { root, paths, io, directory };
}
