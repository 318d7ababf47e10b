/** The one file that names what the bench uses of the SDK and of native memory. */
import * as client from '@refill/client';
import type { BlockStore, SharedMemory } from '@refill/interface';
import * as nativeIo from '@refill/native-io';

type Connect = (options: {
  socketPath: string;
  sharedMemory: SharedMemory;
  deadlineMs: number;
}) => Promise<BlockStore>;

/** Connects to a node of this machine as any other program would. */
export async function connectTo(socketPath: string, deadlineMs: number): Promise<BlockStore> {
  const { connect } = client as unknown as { connect: Connect };
  return await connect({ socketPath, sharedMemory: sharedMemory(), deadlineMs });
}

/** Shared memory in 2 MiB pages, as an engine would hand to the node. */
export function sharedMemory(): SharedMemory {
  const { createSharedMemory } = nativeIo as unknown as { createSharedMemory: () => SharedMemory };
  return createSharedMemory();
}
