export type { NativeBlockIO } from './block-io.ts';
export { createBlockIO } from './create.ts';
export { hugeMemory } from './huge-memory.ts';
export type { BlockIOOptions } from './options.ts';
export { createPeerTransport, type PeerTransportOptions, type TcpPeerTransport } from './peer-transport.ts';
export { crc64, createSharedMemory, mapArena, passFd, sharedMemory } from './shared-memory.ts';
