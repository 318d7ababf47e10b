/** The one file that names what the bench uses of the SDK and of native memory. */

/** Connects to a node of this machine as any other program would. */
export { connect } from '@refill/client';
/** The I/O layer under the node; shared memory in 2 MiB pages, as an engine would hand to the node. */
export { createBlockIO, sharedMemory } from '@refill/native-io';
