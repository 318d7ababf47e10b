import { readMemberCards } from '@refill/control';
import {
  type Clock,
  type ControlNetwork,
  type PeerAddress,
  RefillError,
  type SmallFiles,
} from '@refill/interface';
import { controlChannel } from '@refill/metadata';
import { SERVICE_CARD } from './roles.ts';

/** Where the metadata service is: as the configuration says, or as its card on the shared file system does. */
export async function findService(
  metadata: string,
  files: Pick<SmallFiles, 'readFile' | 'list'>,
  clusterId: string,
): Promise<PeerAddress> {
  if (metadata !== 'auto') {
    const [address, peer] = metadata.split('/p2p/') as [string, string];
    return { peer, addresses: [address] };
  }
  const { cards } = await readMemberCards(files, clusterId);
  const card = cards.find(({ node }) => node === SERVICE_CARD);
  if (card !== undefined) return card.control;
  throw new RefillError(
    'ERR_METADATA_UNAVAILABLE',
    'no metadata service has left its card in nodes/ of the root',
    {
      fix: 'Start one with `refill metadata` or `refill serve --listen`, or give its address with --metadata',
    },
  );
}

/** The card is read again at most so often: a service that is away must not load the file system. */
const FIND_AGAIN_MS = 1_000;

/**
 * The way to the metadata service. One that is found by its card may come back at another address, or on another host:
 * when it does not answer, its card is read again, and the next request goes where that says.
 */
export async function serviceChannel(
  control: Pick<ControlNetwork, 'request'>,
  metadata: string,
  files: Pick<SmallFiles, 'readFile' | 'list'>,
  clusterId: string,
  clock: Clock,
): Promise<ReturnType<typeof controlChannel>> {
  let service = await findService(metadata, files, clusterId);
  let foundAtMs = clock.nowMs();
  const findAgain = (): void => {
    if (metadata !== 'auto' || clock.nowMs() - foundAtMs < FIND_AGAIN_MS) return;
    foundAtMs = clock.nowMs();
    findService(metadata, files, clusterId).then(
      (found) => {
        service = found;
      },
      // The file system is away too, or the card is being replaced just now: the next failure tries again.
      () => undefined,
    );
  };
  return {
    async request(body, deadlineMs) {
      try {
        return await controlChannel(control, service).request(body, deadlineMs);
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === 'ERR_PEER_UNREACHABLE' || code === 'ERR_DEADLINE') findAgain();
        throw error;
      }
    },
  };
}
