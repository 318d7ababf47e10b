import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import {
  encodeAsk,
  encodeDone,
  encodeGrant,
  encodeHeld,
  encodeHold,
} from '../../packages/store/src/peer/peer-messages.ts';
import { fillBlock, offerRows, type PeerBlock, receiveRows } from '../compliance/peer-transport.ts';
import { listening, peerPair } from '../fixtures/peer-pair.ts';
import { RawPeer, requestBytes } from '../fixtures/peer-raw.ts';

const folder = new URL('../golden/peer-v1/', import.meta.url);
const page = readFileSync(new URL('../../docs/internals/peer-protocol.md', import.meta.url), 'utf8');
const TICKET = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i);
const KEY = Uint32Array.from({ length: 8 }, (_, i) => 0x03020100 + 0x04040404 * i);
/** The second is asked for with a length that it does not have. */
const blocks: PeerBlock[] = [
  { tag: 1, from: 0, lengthBytes: 12, to: 0 },
  { tag: 2, from: 64, lengthBytes: 5, to: 64 },
];

function hexOf(bytes: Uint8Array): string {
  const pairs = Buffer.from(bytes).toString('hex').match(/../g) ?? [];
  let text = '';
  for (let at = 0; at < pairs.length; at += 16) text += `${pairs.slice(at, at + 16).join(' ')}\n`;
  return text;
}

/** Compares with what an earlier version wrote, and with the worked example of the documentation. */
function golden(name: string, bytes: Uint8Array): void {
  const file = new URL(`${name}.hex`, folder);
  if (process.env.REFILL_WRITE_GOLDEN) writeFileSync(file, hexOf(bytes));
  t.equal(hexOf(bytes), readFileSync(file, 'utf8'), name);
  const example = new RegExp(`<!-- golden: ${name} -->\n\`\`\`\n([\\s\\S]*?)\`\`\``).exec(page)?.[1] ?? '';
  const lines = [...example.matchAll(/^[0-9a-f]{4} {2}((?:[0-9a-f]{2} ?)+)/gm)];
  t.equal(
    lines.map(([, hex]) => hex!.trim()).join(' '),
    hexOf(bytes).trim().replaceAll('\n', ' '),
    `${name} in the documentation`,
  );
}

t.test('requests and answers are those of version 1', async (t) => {
  const pair = await peerPair(t);
  const requests: Buffer[] = [];
  const address = await listening(t, (socket) =>
    socket.on('data', (bytes) => {
      requests.push(bytes);
      socket.end();
    }),
  );
  await pair.receiver.receive(address, TICKET, receiveRows(blocks), 2, 5_000);
  golden('request', Buffer.concat(requests));

  for (const { from, lengthBytes, tag } of blocks) fillBlock(pair.sent(from, lengthBytes), tag);
  const { ticket } = pair.sender.offer(offerRows(blocks), 2, 5_000, () => {});
  const raw = new RawPeer(pair.sender.address);
  raw.socket.write(
    requestBytes({
      ticket,
      entries: [
        [0, 12],
        [1, 6],
      ],
    }),
  );
  await raw.answered(24 + 12 + 8 + 24);
  golden('answers', raw.received);
  raw.socket.destroy();
});

t.test('the messages for a ticket are those of version 1', async () => {
  const namespaceId = Uint8Array.from({ length: 16 }, (_, i) => 0x80 + i);
  golden('ask', encodeAsk({ namespaceId, keys: KEY, count: 1 }));
  const rows = Uint32Array.of(1, 4_194_304, 256);
  golden('grant', encodeGrant({ ticket: TICKET, address: '10.0.0.7:7100', lifeMs: 5_000, rows, count: 1 }));
  golden('done', encodeDone(TICKET));
  golden('hold', encodeHold({ namespaceId, keys: KEY, count: 1, ttlMs: 600_000 }));
  golden('held', encodeHeld({ held: 1, refused: 0, freeBytes: 8 * 1024 ** 3 }));
});

t.test('every golden file is compared', async (t) => {
  t.equal(readdirSync(folder).length, 7);
});
