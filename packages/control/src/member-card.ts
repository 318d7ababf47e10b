import { peerIdFromString } from '@libp2p/peer-id';
import { type PeerAddress, RefillError, type SmallFiles } from '@refill/interface';
import type { Identity } from './identity.ts';

/**
 * Member cards: how nodes find one another through the shared file system while the metadata service is away. A card
 * is `nodes/<node>.card`, two lines: JSON, and the base64 of the node's Ed25519 signature over that line's bytes. It
 * says where a node may be reached and nothing else: whoever is reached there must still prove its key and be admitted.
 */
export interface MemberCard {
  readonly cluster: string;
  readonly node: string;
  readonly control: PeerAddress;
  /** Where its `PeerTransport` listens. */
  readonly dataAddress: string;
  /** Wall-clock milliseconds since 1970 at which the node came up, for people and to prefer the newer. */
  readonly sinceMs: number;
}

/** What the directory holds. `ignored` counts cards that are damaged, forged, or of another cluster. */
export interface MemberCards {
  readonly cards: readonly MemberCard[];
  readonly ignored: number;
}

const NODES = 'nodes';
const SUFFIX = '.card';
const CARD_BYTES_MAX = 8192;
const CARD_VERSION = 1;
const ADDRESSES_MAX = 16;
/** More nodes than one root is planned for; a directory that somebody filled does not hold a reader up. */
const CARDS_MAX = 4096;
/** Reads under way at once: a shared file system takes a round trip for each. */
const READS_MAX = 16;
/** What is signed begins with this, so that no other signature by the key is ever one of a card. */
const PREFIX: Uint8Array = Buffer.from('refill member card\n');

/** Writes this node's own card, whole and durable (`SmallFiles.writeFile`). Readers see the old one or the new one. */
export async function writeMemberCard(
  files: Pick<SmallFiles, 'writeFile'>,
  identity: Identity,
  card: MemberCard,
  options: { deadlineMs?: number } = {},
): Promise<void> {
  if (card.control.peer !== identity.peer) {
    throw new TypeError(
      `control.peer is ${card.control.peer}; give ${identity.peer}, whose key signs the card`,
    );
  }
  const { cluster, node, control, dataAddress, sinceMs } = card;
  const { peer, addresses } = control;
  const line = JSON.stringify({
    version: CARD_VERSION,
    cluster,
    node,
    peer,
    addresses,
    dataAddress,
    sinceMs,
  });
  const signature = await identity.privateKey.sign(signedBytes(line));
  const text = Buffer.from(`${line}\n${Buffer.from(signature).toString('base64')}\n`);
  if (text.length > CARD_BYTES_MAX || addresses.length > ADDRESSES_MAX) {
    throw new RangeError(
      `the card has ${addresses.length} addresses in ${text.length} bytes; announce fewer`,
    );
  }
  await files.writeFile(`${NODES}/${node}${SUFFIX}`, text, options);
}

/**
 * Reads the cards of a cluster, by name. One that is damaged, too long, signed by another key than it names, lies
 * under another node's name or is another cluster's is ignored and counted; one that went meanwhile is not counted.
 * Rejects only when the directory cannot be listed, or at the deadline.
 */
export async function readMemberCards(
  files: Pick<SmallFiles, 'readFile' | 'list'>,
  cluster: string,
  options: { deadlineMs?: number } = {},
): Promise<MemberCards> {
  const names = (await files.list(NODES, options)).filter((name) => name.endsWith(SUFFIX));
  const found: (MemberCard | undefined)[] = new Array(Math.min(names.length, CARDS_MAX));
  let ignored = names.length - found.length;
  let next = 0;
  const read = async (): Promise<void> => {
    while (next < found.length) {
      const at = next++;
      const name = names[at]!;
      try {
        const bytes = await files.readFile(`${NODES}/${name}`, { ...options, maxBytes: CARD_BYTES_MAX });
        if (bytes !== undefined) found[at] = await parseCard(name.slice(0, -SUFFIX.length), cluster, bytes);
      } catch (error) {
        if (error instanceof RefillError && error.code === 'ERR_DEADLINE') throw error;
        ignored++;
      }
    }
  };
  await Promise.all(Array.from({ length: READS_MAX }, read));
  return { cards: found.filter((card) => card !== undefined), ignored };
}

/** The card in these bytes, when it is this node's own in this cluster. Throws otherwise. */
async function parseCard(node: string, cluster: string, bytes: Uint8Array): Promise<MemberCard> {
  const [line = '', signature = ''] = new TextDecoder('utf-8', { fatal: true }).decode(bytes).split('\n');
  const card = JSON.parse(line) as Record<string, unknown>;
  const { version, peer, addresses, dataAddress, sinceMs } = card;
  const isWellFormed =
    version === CARD_VERSION &&
    card.cluster === cluster &&
    card.node === node &&
    typeof peer === 'string' &&
    typeof dataAddress === 'string' &&
    Number.isFinite(sinceMs) &&
    Array.isArray(addresses) &&
    addresses.length <= ADDRESSES_MAX &&
    addresses.every((address) => typeof address === 'string');
  if (!isWellFormed) throw new TypeError('not a card of this node in this cluster');
  const { publicKey } = peerIdFromString(peer);
  if (publicKey?.type !== 'Ed25519') throw new TypeError('the peer id is of another kind of key');
  if (!(await publicKey.verify(signedBytes(line), Buffer.from(signature, 'base64')))) {
    throw new TypeError('signed by another key, or changed');
  }
  return { cluster, node, control: { peer, addresses }, dataAddress, sinceMs: sinceMs as number };
}

function signedBytes(line: string): Uint8Array {
  return Buffer.concat([PREFIX, Buffer.from(line)]);
}
