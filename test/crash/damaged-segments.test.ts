import {
  closeSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { nodePlace, runRefill, startNodeProcess } from '../fixtures/node-process.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

const seed = Number(process.env.REFILL_SEED ?? Date.now() % 1_000_000);
const args = ['--arena', '64MiB', '--segment', '8MiB'];
t.setTimeout(240_000);

function segmentFiles(root: string): string[] {
  return readdirSync(join(root, 'segments'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.seg'))
    .map((name) => join(root, 'segments', name))
    .sort();
}

function flipBits(file: string, count: number, random: (bound: number) => number): void {
  const fd = openSync(file, 'r+');
  const size = Math.min(statSync(file).size, 2 * 1024 * 1024);
  const byte = new Uint8Array(1);
  for (let i = 0; i < count; i++) {
    const at = random(size);
    readSync(fd, byte, 0, 1, at);
    byte[0] = byte[0]! ^ (1 << random(8));
    writeSync(fd, byte, 0, 1, at);
  }
  closeSync(fd);
}

const damages: Record<string, (files: string[], random: (bound: number) => number) => void> = {
  'bits flipped in every segment': (files, random) => {
    for (const file of files) flipBits(file, 40, random);
  },
  'segments cut short': (files, random) => {
    for (const [i, file] of files.entries()) if (i % 2 === 0) truncateSync(file, random(statSync(file).size));
  },
  'a segment emptied and one removed': (files) => {
    truncateSync(files[0]!, 0);
    unlinkSync(files[1]!);
  },
};

for (const [name, damage] of Object.entries(damages)) {
  t.test(`${name}: a miss each, never a wrong byte (seed ${seed})`, async (t) => {
    let state = seed | 1;
    const random = (bound: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * bound);
    };
    const place = nodePlace(t);
    const blocks = new StoredBlocks(1);
    let node = await startNodeProcess(t, place, { args });
    let { store, namespace } = await openStored(place.socketPath);
    for (let put = 0; put < 30; put++) await blocks.put(namespace, 16);
    await store.close();
    await node.end('SIGTERM');
    damage(segmentFiles(place.root), random);

    node = await startNodeProcess(t, place, { args });
    ({ store, namespace } = await openStored(place.socketPath));
    const { wrong, hits } = await blocks.check(namespace, { lossAllowed: true });
    t.same(wrong, []);
    t.ok(hits > 0 && hits < blocks.acknowledged.size, `${hits} of ${blocks.acknowledged.size} are whole`);
    const again = await blocks.check(namespace, { lossAllowed: true });
    t.same(again.wrong, []);
    t.ok(again.hits >= hits, 'what was whole stays whole');
    t.same(await blocks.put(namespace, 3), ['stored', 'stored', 'stored'], 'and the node goes on writing');
    await store.close();
    await node.end('SIGTERM');

    const other = { ...place, state: join(place.base, 'other-state') };
    const rebuilt = await runRefill(['rebuild', '--root', place.root, '--state', other.state, '--json']);
    t.equal(rebuilt.code, 0, rebuilt.stderr);
    await startNodeProcess(t, other, { args });
    ({ store, namespace } = await openStored(place.socketPath));
    t.same(
      (await blocks.check(namespace, { lossAllowed: true })).wrong,
      [],
      'also after a rebuild from what is left',
    );
    await store.close();
  });
}
