import { createIdentity, type Identity, readMemberCards, writeMemberCard } from '@refill/control';
import { RefillError } from '@refill/interface';
import t from 'tap';
import { MemoryFiles } from '../fixtures/memory-files.ts';

const CLUSTER = 'c';

async function publish(files: MemoryFiles, node: string, cluster = CLUSTER): Promise<Identity> {
  const identity = await createIdentity();
  const control = { peer: identity.peer, addresses: ['/ip4/10.0.0.1/tcp/7000'] };
  await writeMemberCard(files, identity, {
    cluster,
    node,
    control,
    dataAddress: '10.0.0.1:7001',
    sinceMs: 5,
  });
  return identity;
}

t.test('cards that nodes left are found, beside whatever else lies there', async (t) => {
  const files = new MemoryFiles();
  t.same(await readMemberCards(files, CLUSTER), { cards: [], ignored: 0 });
  const [a, b] = [await publish(files, 'a'), await publish(files, 'b')];
  files.content.set('nodes/a.json', Buffer.from('{"node":"a"}'));
  files.content.set('nodes/root.lock', new Uint8Array(0));
  const { cards, ignored } = await readMemberCards(files, CLUSTER);
  t.equal(ignored, 0);
  t.same(cards[0], {
    cluster: CLUSTER,
    node: 'a',
    control: { peer: a.peer, addresses: ['/ip4/10.0.0.1/tcp/7000'] },
    dataAddress: '10.0.0.1:7001',
    sinceMs: 5,
  });
  t.equal(cards[1]?.control.peer, b.peer);
});

t.test(
  'a forged, damaged, misplaced or foreign card is ignored and counted, the others are read',
  async (t) => {
    const files = new MemoryFiles();
    await publish(files, 'a');
    const b = await publish(files, 'b');
    const text = Buffer.from(files.content.get('nodes/a.card')!).toString();
    const [line, signature] = text.split('\n') as [string, string];
    const forgeries: [string, string][] = [
      ['address', `${line.replace('10.0.0.1/', '10.6.6.6/')}\n${signature}\n`],
      ['key', `${line.replace(/12D3Koo\w+/, b.peer)}\n${signature}\n`],
      ['no-signature', `${line}\n`],
      ['truncated', text.slice(0, 50)],
      ['garbage', '\xff\xfe\x00'],
      ['empty', ''],
      ['json', '[]\nAAAA\n'],
      ['name', text],
    ];
    for (const [name, forged] of forgeries)
      files.content.set(`nodes/${name}.card`, Buffer.from(forged, 'latin1'));
    files.content.set('nodes/long.card', new Uint8Array(10_000));
    await publish(files, 'foreign', 'another');
    const { cards, ignored } = await readMemberCards(files, CLUSTER);
    t.same(
      cards.map(({ node }) => node),
      ['a', 'b'],
    );
    t.equal(ignored, forgeries.length + 2);
  },
);

t.test('a bit flipped anywhere is a card ignored', async (t) => {
  const files = new MemoryFiles();
  await publish(files, 'a');
  const good = files.content.get('nodes/a.card')!;
  // The last characters are the padding of base64 and line ends, which carry nothing.
  for (let at = 0; at < good.length - 4; at += 7) {
    const flipped = good.slice();
    flipped[at]! ^= 1;
    files.content.set('nodes/a.card', flipped);
    t.same(await readMemberCards(files, CLUSTER), { cards: [], ignored: 1 }, `byte ${at}`);
  }
});

t.test(
  'one that cannot be read is counted, a deadline is told, another key’s card is not written',
  async (t) => {
    const files = new MemoryFiles();
    await publish(files, 'a');
    await publish(files, 'b');
    files.fail = (call, path) => {
      if (call === 'readFile' && path.includes('/a.')) throw new RefillError('ERR_STORAGE_FAILED', 'EIO');
    };
    t.match(await readMemberCards(files, CLUSTER), { cards: [{ node: 'b' }], ignored: 1 });
    files.fail = () => {
      throw new RefillError('ERR_DEADLINE', 'hung');
    };
    await t.rejects(readMemberCards(files, CLUSTER), { code: 'ERR_DEADLINE' });
    files.fail = () => {};
    const control = { peer: (await createIdentity()).peer, addresses: [] };
    const card = { cluster: CLUSTER, node: 'x', control, dataAddress: '', sinceMs: 0 };
    await t.rejects(writeMemberCard(files, await createIdentity(), card), TypeError);
  },
);
