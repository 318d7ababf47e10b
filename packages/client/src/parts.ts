import { type Chance, type Clock, RefillError, type SharedMemory } from '@refill/interface';
import { systemChance, systemClock } from './system-clock.ts';

/** What the SDK is made of. */
export interface ClientParts {
  sharedMemory: SharedMemory;
  clock: Clock;
  chance: Chance;
  /** Told of mistakes that no call can report: views that were never released, frames that the node refused. */
  warn: (message: string) => void;
}

/** Optional peers, imported when first needed, so that this package stands without them. */
const NATIVE_IO = '@refill/native-io';
const NODE = '@refill/cli/node';

/** The parts of this machine. Rejects with `ERR_PLATFORM` where the native package is missing. */
export async function systemParts(): Promise<ClientParts> {
  const { sharedMemory } = await peer<{ sharedMemory: SharedMemory }>(NATIVE_IO);
  return {
    sharedMemory,
    clock: systemClock,
    chance: systemChance,
    warn: (message) => process.emitWarning(message),
  };
}

export interface StartedNode {
  socketPath: string;
  stop(): Promise<void>;
}

/** The composition root that `open` starts a node with. */
export async function startNode(options: object): Promise<StartedNode> {
  const root = await peer<{ startNode(options: object): Promise<StartedNode> }>(NODE);
  return root.startNode(options);
}

async function peer<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (cause) {
    throw new RefillError('ERR_PLATFORM', `${name} cannot be loaded: ${(cause as Error).message}`, {
      cause,
      fix: `Install ${name} beside @refill/client`,
    });
  }
}
