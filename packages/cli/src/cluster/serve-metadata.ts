import { writeMemberCard } from '@refill/control';
import { createMetadataService } from '@refill/metadata';
import type { Config } from '../config/fields.ts';
import { createLog } from '../log.ts';
import { openParts } from '../parts.ts';
import { recoverRoot } from '../recover.ts';
import { systemChance, systemClock } from '../system-clock.ts';
import { Unwind } from '../unwind.ts';
import { openControl } from './open-control.ts';
import { SERVICE_CARD } from './roles.ts';

/** Scratch for headers and footers of a rebuild; no block is read into memory. */
const ARENA_BYTES = 128 * 1024 * 1024;

export interface RunningMetadata {
  root: string;
  clusterId: string;
  /** Multiaddr with the peer id of the service: what `metadata` of a node's configuration takes. */
  address: string;
  stop(): Promise<void>;
}

/** Runs the metadata service of a root alone. Rejects as `startNode`; then everything it had started is stopped again. */
export async function serveMetadata(config: Config): Promise<RunningMetadata> {
  const log = createLog('refill', { level: config.logLevel, clock: systemClock });
  const unwind = new Unwind(log);
  try {
    const opened = await openParts({ ...config, arenaBytes: ARENA_BYTES }, log, unwind);
    await recoverRoot(config, opened, log);
    const { root, paths, io, directory } = opened;
    const { identity, control } = await openControl(config, root.clusterId, paths);
    const parts = { directory, control, clock: systemClock, chance: systemChance };
    const service = createMetadataService({ ...parts, log: log.newScope('metadata') });
    await service.start();
    unwind.push('metadata service', () => service.stop());
    await control.start();
    unwind.push('control network', () => control.stop());
    const { peer, addresses } = control.self;
    const card = { cluster: root.clusterId, node: SERVICE_CARD, control: control.self, dataAddress: '' };
    await writeMemberCard(io, identity, { ...card, sinceMs: systemClock.wallMs() });
    const address = `${addresses[0]?.split('/p2p/')[0]}/p2p/${peer}`;
    const stop = async (): Promise<void> => void (await unwind.run());
    return { root: root.path, clusterId: root.clusterId, address, stop };
  } catch (error) {
    await unwind.run();
    throw error;
  }
}
