/** The one file that names what the bench uses of the SDK and of native memory. */
import * as client from '@refill/client';
import type { BlockIO, BlockStore, SharedMemory } from '@refill/interface';
import * as nativeIo from '@refill/native-io';

type Connect = (options: { socketPath: string; deadlineMs: number }) => Promise<BlockStore>;
interface NativeIo {
  sharedMemory: SharedMemory;
  createBlockIO(options: { root: string; arenaBytes: number }): Promise<BlockIO>;
}

/** Connects to a node of this machine as any other program would. */
export const connect: Connect = (client as unknown as { connect: Connect }).connect;

const native = nativeIo as unknown as NativeIo;
/** Shared memory in 2 MiB pages, as an engine would hand to the node. */
export const sharedMemory: SharedMemory = native.sharedMemory;
/** The I/O layer under the node. */
export const createBlockIO: NativeIo['createBlockIO'] = native.createBlockIO;
