import type { Logger } from '@libp2p/interface';
import { writeMemberCard } from '@refill/control';
import type { Cluster, ControlNetwork, Directory, PeerTransport } from '@refill/interface';
import {
  createMetadataService,
  createRemoteMetadata,
  type LocalDirectory,
  localChannel,
  type MetadataService,
} from '@refill/metadata';
import { createPeerTransport } from '@refill/native-io';
import type { Config } from '../config/fields.ts';
import type { RootParts } from '../parts.ts';
import { systemChance, systemClock } from '../system-clock.ts';
import type { Unwind } from '../unwind.ts';
import { serviceChannel } from './find-service.ts';
import { openControl } from './open-control.ts';
import { SERVICE_CARD } from './roles.ts';

/** A node's place in its cluster: everything that a node alone does without. */
export interface Membership {
  directory: Directory;
  cluster: Cluster;
  /** Of the control network: registers what answers peers, although it is started already. */
  control: ControlNetwork;
  transport: PeerTransport;
  /** Where this process has the metadata of the cluster. */
  service: MetadataService | undefined;
}

/**
 * Joins the cluster, each step undone in reverse by `unwind`: the service where `local` is its directory, the two
 * networks, the lease. Rejects with `ERR_CONFIG`, `ERR_METADATA_UNAVAILABLE`, `ERR_UNAUTHORIZED` and
 * `ERR_NODE_IDENTITY_TAKEN`. A card then tells others where this member is while the service is away.
 */
export async function joinCluster(
  config: Config,
  { root, paths, io }: RootParts,
  local: LocalDirectory | undefined,
  log: Logger,
  unwind: Unwind,
): Promise<Membership> {
  const [clock, chance] = [systemClock, systemChance];
  const { identity, control, late, host } = await openControl(config, root.clusterId, paths);
  const parts = { clock, chance, log: log.newScope('metadata') };
  const service = local && createMetadataService({ ...parts, directory: local, control });
  if (service !== undefined) {
    await service.start();
    unwind.push('metadata service', () => service.stop());
  }
  const transport = createPeerTransport({ io, host, port: config.dataPort });
  await transport.start();
  unwind.push('peer transport', () => transport.stop());
  await control.start();
  unwind.push('control network', () => control.stop());
  const channel =
    service === undefined
      ? await serviceChannel(control, config.metadata, io, root.clusterId, clock)
      : localChannel(service, control.self.peer);
  const dataAddress = transport.address;
  const { directory, cluster } = createRemoteMetadata(
    { ...parts, channel, files: io },
    { node: config.node, control: control.self, dataAddress },
  );
  await cluster.start();
  unwind.push('membership', () => cluster.stop());
  const card = { cluster: root.clusterId, control: control.self, dataAddress, sinceMs: clock.wallMs() };
  await writeMemberCard(io, identity, { ...card, node: config.node });
  if (service !== undefined) await writeMemberCard(io, identity, { ...card, node: SERVICE_CARD });
  return { directory, cluster, control: late, transport, service };
}
