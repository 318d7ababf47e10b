export {
  createDirectory,
  type DirectoryComponents,
  type DirectoryOptions,
  type LocalDirectory,
  MEMORY_BUDGET_BYTES_DEFAULT,
} from './directory.ts';
export { LevelEngine, type LevelEngineOptions } from './level-engine.ts';
export { MemoryEngine } from './memory-engine.ts';
export { METADATA_PROTOCOL } from './protocol/message.ts';
export { askMembers } from './remote/ask-members.ts';
export { controlChannel, localChannel } from './remote/channels.ts';
export type { ClusterNode } from './remote/cluster-node.ts';
export {
  createRemoteMetadata,
  type RemoteMetadata,
  type RemoteOptions,
  type RemoteParts,
} from './remote/create-remote.ts';
export { embeddedCluster } from './remote/embedded-cluster.ts';
export type { ServiceChannel } from './remote/service-link.ts';
export {
  createMetadataService,
  type MetadataService,
  type MetadataServiceParts,
  type ServiceStatus,
} from './service/metadata-service.ts';
export { Residency } from './service/residency.ts';
export type { MetadataServiceOptions, ServiceCounters } from './service/service-core.ts';
