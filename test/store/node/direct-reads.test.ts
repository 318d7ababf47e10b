import { KeyTable } from '@refill/interface';
import t from 'tap';
import type { Region, Regions } from '../../../packages/store/src/arena/regions.ts';
import { DirectReads } from '../../../packages/store/src/node/direct-reads.ts';
import { keysOf } from '../../fixtures/node-world.ts';

/** Regions that note who uses them. */
function readsOf() {
  const using: Region[] = [];
  const regions = { begin: (region: Region) => using.push(region) } as unknown as Regions;
  return { using, reads: new DirectReads(new KeyTable({ seed: 1 }), regions) };
}

t.test('who waits is told where the block landed, and each uses the region from then on', async (t) => {
  const { reads, using } = readsOf();
  const keys = keysOf(1, 2);
  t.equal(reads.find(0, keys, 0), -1);
  const id = reads.begin(0, keys, 0);
  t.equal(reads.find(0, keys, 0), id);
  t.equal(reads.find(0, keys, 8), -1);
  t.equal(reads.find(1, keys, 0), -1, 'another namespace');
  const waiting = [reads.landed(id), reads.landed(id)];
  const source = { region: { id: 7 } as Region, offset: 4096 };
  reads.end(id, source);
  t.equal(reads.find(0, keys, 0), -1, 'it is over');
  t.same(await Promise.all(waiting), [source, source]);
  t.same(using, [source.region, source.region]);
});

t.test('a read that brought nothing says so, and one that nobody waits for ends alone', async (t) => {
  const { reads, using } = readsOf();
  const keys = keysOf(1);
  const id = reads.begin(0, keys, 0);
  const waiting = reads.landed(id);
  reads.end(id, undefined);
  t.equal(await waiting, undefined);
  reads.end(reads.begin(0, keys, 0), { region: {} as Region, offset: 0 });
  t.same(using, []);
});
