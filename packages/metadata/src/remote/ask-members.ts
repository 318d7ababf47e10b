import type { Clock, ClusterMember } from '@refill/interface';
import { MESSAGE } from '../protocol/message.ts';
import { HeardRemovals } from './heard-removals.ts';
import { LocationCache } from './location-cache.ts';
import { type ServiceChannel, ServiceLink } from './service-link.ts';

/**
 * The members of a cluster, for somebody who has not joined: proves that the service lets him in, and changes nothing.
 * Rejects with `ERR_METADATA_UNAVAILABLE`, `ERR_DEADLINE`, `ERR_UNAUTHORIZED` and what else admission refuses with.
 */
export async function askMembers(
  channel: ServiceChannel,
  clock: Clock,
  deadlineMs: number,
): Promise<ClusterMember[]> {
  const cache = new LocationCache({ seed: 0, bytesMax: 0 });
  const link = new ServiceLink({ channel, clock, cache, heard: new HeardRemovals({ seed: 0, keysMax: 1 }) });
  await link.request(MESSAGE.sync, (writer) => void writer.word(0), deadlineMs, { urgent: true });
  return [...link.replica.members.values()];
}
