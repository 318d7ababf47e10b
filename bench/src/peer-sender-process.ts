/**
 * The sending side of `peer-read`, in a process of its own: an arena of random bytes behind a `PeerTransport`. Started
 * with a directory, the arena's size and a congestion control; tells its address, answers each block size with a ticket
 * for the whole arena in blocks of it, ends when its parent does.
 */
import { OFFER_ROW, OFFER_ROW_WORDS, PEER_TICKET_MS_MAX } from '@refill/interface';
import { createBlockIO, createPeerTransport } from '@refill/native-io';
import { peerIdentity } from './peer-identity.ts';

const [root = '', arena = '', congestion = ''] = process.argv.slice(2);
const arenaBytes = Number(arena);
const io = await createBlockIO({ root, arenaBytes, lanes: { read: 1, write: 1 } });
const pane = io.panes[0]!;
const words = new BigUint64Array(pane.buffer);
let state = 1n;
for (let i = 0; i < words.length; i++) {
  state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
  words[i] = state;
}
const transport = createPeerTransport({ io, host: '127.0.0.1', congestion });
await transport.start();

process.on('message', (blockBytes: number) => {
  const count = arenaBytes / blockBytes;
  const rows = new Uint32Array(count * OFFER_ROW_WORDS);
  for (let i = 0; i < count; i++) {
    const at = i * OFFER_ROW_WORDS;
    peerIdentity(i, rows, at);
    rows[at + OFFER_ROW.bufferOffsetLo] = i * blockBytes;
    rows[at + OFFER_ROW.lengthBytes] = blockBytes;
  }
  const { ticket } = transport.offer(rows, count, PEER_TICKET_MS_MAX, () => {});
  process.send?.(Buffer.from(ticket).toString('hex'));
});
process.once('disconnect', () => process.exit(0));
process.send?.({ address: transport.address, congestion: transport.congestion });
