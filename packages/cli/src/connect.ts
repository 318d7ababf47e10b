import type { BlockStore, RefillError } from '@refill/interface';
import type { Config } from './config/fields.ts';
import { nodePaths } from './config/paths.ts';
import { EXIT, ExitError } from './exit-codes.ts';
import { exitCodeOf } from './report-error.ts';
import { readRoot } from './root.ts';
import { systemChance, systemClock } from './system-clock.ts';

const CONNECT_DEADLINE_MS = 5_000;

/** Connects with the SDK, of the real parts of this machine. */
async function connect(socketPath: string): Promise<BlockStore> {
  const [{ createConnect }, { sharedMemory }] = await Promise.all([
    import('@refill/client'),
    import('@refill/native-io'),
  ]);
  const warn = (message: string): void => process.emitWarning(message);
  const connectTo = createConnect({ sharedMemory, clock: systemClock, chance: systemChance, warn });
  return connectTo({ socketPath, deadlineMs: CONNECT_DEADLINE_MS });
}

/** The socket of the node that serves the configured root on this machine. An `ExitError` of code 3 when that cannot be told. */
export async function findSocket(config: Config): Promise<string> {
  if (config.socket !== undefined) return config.socket;
  if (config.state !== undefined) return nodePaths(config, '').socket;
  const root = await readRoot(config.root);
  if (root === undefined) {
    throw new ExitError(
      EXIT.unreachable,
      `no node answers: ${config.root} has no refill.json, so it is no root that a node serves. Give --root or --socket`,
    );
  }
  return nodePaths(config, root.clusterId).socket;
}

/** Connects to the configured node. Throws an `ExitError` of code 3 when none answers. */
export async function connectToNode(config: Config): Promise<BlockStore> {
  const socketPath = await findSocket(config);
  try {
    return await connect(socketPath);
  } catch (error) {
    if (exitCodeOf(error) !== EXIT.unreachable && (error as RefillError).code !== 'ERR_DEADLINE') throw error;
    throw new ExitError(
      EXIT.unreachable,
      `no node answers at ${socketPath}. Start one: refill serve --root ${config.root}`,
      {
        cause: error,
      },
    );
  }
}
