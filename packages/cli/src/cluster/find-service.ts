import { readMemberCards } from '@refill/control';
import { type PeerAddress, RefillError, type SmallFiles } from '@refill/interface';

/** The card of whoever has the metadata lies under this name among those of the nodes. */
export const SERVICE_CARD = 'metadata';

/** Where the metadata service is: as the configuration says, or as its card on the shared file system does. */
export async function findService(
  metadata: string,
  files: SmallFiles,
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
