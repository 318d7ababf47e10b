/** The one file that names what the bench uses of the SDK and of native memory. */
import type { BlockIO, SharedMemory } from '@refill/interface';
import * as nativeIo from '@refill/native-io';

/** Connects to a node of this machine as any other program would. */
export { connect } from '@refill/client';

interface NativeIo {
  sharedMemory: SharedMemory;
  createBlockIO(options: { root: string; arenaBytes: number }): Promise<BlockIO>;
}

const native = nativeIo as unknown as NativeIo;
/** Shared memory in 2 MiB pages, as an engine would hand to the node. */
export const sharedMemory: SharedMemory = native.sharedMemory;
/** The I/O layer under the node. */
export const createBlockIO: NativeIo['createBlockIO'] = native.createBlockIO;
