import { COMMIT_ROW, COMMIT_ROW_WORDS, KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { BlockIndex, INDEX_ROW, INDEX_ROW_WORDS } from '../../packages/metadata/src/block-index.ts';
import { keysOf, rowsOf } from '../fixtures/directory-world.ts';
import { seededRandom } from '../fixtures/seeded-random.ts';

const random = seededRandom(t);

t.test('locations come back as they were committed, up to the widest values', async (t) => {
  const index = new BlockIndex({ seed: 1 });
  const row = rowsOf(0xfffffffe, 5, 1);
  row[COMMIT_ROW.lengthBytes] = 256 * 1024 * 1024;
  row[COMMIT_ROW.storedBytes] = 256 * 1024 * 1024;
  const entry = index.insert(row, 0, 9);
  const rows = new Uint32Array(LOCATION_ROW_WORDS);
  index.locate(entry, rows, 0);
  t.same([...rows], [1, 0xfffffffe, 6, 2 ** 28, 2 ** 28, 0x80000005, 0xf0000005, 16, 1, entry, 0, 0]);
  t.equal(rows[LOCATION_ROW.entry], entry);
  t.equal(index.storedBytes(entry), 2 ** 28);
  row[COMMIT_ROW.lengthBytes] = 0;
  t.throws(() => index.insert(rowsOf(0, 5, 1).fill(0), 0, 9), /a block has a length/);
});

t.test('a parent without a block keeps its entry until its last child goes', async (t) => {
  const index = new BlockIndex({ seed: 1 });
  const rows = rowsOf(1, 0, 4);
  const [root, child] = [index.insert(rows, 0, 1), index.insert(rows, COMMIT_ROW_WORDS, 1)];
  t.equal(index.word(child, INDEX_ROW.parent), root);
  t.equal(index.word(root, INDEX_ROW.children), 1);
  index.remove(root);
  t.equal(index.find(0, keysOf(0, 1), 0), -1);
  const other = index.insert(rows, 3 * COMMIT_ROW_WORDS, 1);
  t.not(other, root, 'the entry of the parent is not given to another block');
  const again = index.insert(rows, 0, 1);
  t.not(again, root);
  index.remove(child);
  t.equal(index.insert(rows, 2 * COMMIT_ROW_WORDS, 1), root, 'the parent was released after its last child');
  t.equal(index.entryEnd, 4);
});

t.test('touching moves recency forward only, and passes over what is not there', async (t) => {
  const index = new BlockIndex({ seed: 1 });
  const entry = index.insert(rowsOf(1, 0, 1), 0, 100);
  index.touch(entry, 50);
  t.equal(index.word(entry, INDEX_ROW.lastUsed), 100);
  index.touch(entry, 200);
  t.equal(index.word(entry, INDEX_ROW.lastUsed), 200);
  index.touch(entry + 1, 300);
  index.touch(0xffffffff, 300);
  index.remove(entry);
  index.touch(entry, 300);
  t.equal(index.word(entry, INDEX_ROW.lastUsed), 0);
});

t.test('restoring every row gives the same entries, also after removals', async (t) => {
  const index = new BlockIndex({ seed: 1 });
  for (let step = 0; step < 5000; step++) {
    const number = (random() * 300) | 0;
    const entry = index.find(0, keysOf(number, 1), 0);
    if (entry < 0) index.insert(rowsOf(1, number, 1), 0, step);
    else index.remove(entry);
  }
  const copy = new BlockIndex({ seed: 2 });
  const key = new Uint32Array(KEY_WORDS);
  const row = new Uint32Array(INDEX_ROW_WORDS);
  for (let entry = 0; entry < index.entryEnd; entry++) {
    index.copyKey(entry, key, 0);
    index.copyRow(entry, row, 0);
    copy.restore(index.namespaceOf(entry), key, 0, row, 0);
  }
  copy.endRestore();
  t.equal(copy.size, index.size);
  const copied = new Uint32Array(INDEX_ROW_WORDS);
  for (let number = 0; number < 300; number++) {
    const entry = index.find(0, keysOf(number, 1), 0);
    if (copy.find(0, keysOf(number, 1), 0) !== entry) return t.fail(`block ${number}`);
    if (entry < 0) continue;
    index.copyRow(entry, row, 0);
    copy.copyRow(entry, copied, 0);
    if (row.join() !== copied.join()) return t.fail(`row of ${number}`);
  }
  const end = copy.entryEnd;
  for (let number = 300; copy.entryEnd === end; number++) copy.insert(rowsOf(1, number, 1), 0, 1);
  let kept = 0;
  for (let entry = 0; entry < end; entry++) if (copy.word(entry, INDEX_ROW.lengthBytes) === 0) kept++;
  t.equal(copy.size, end - kept + 1, 'every free entry was used before a new one');
  for (let entry = 0; entry < end; entry++) {
    if (copy.word(entry, INDEX_ROW.lengthBytes) === 0 && copy.word(entry, INDEX_ROW.children) === 0) {
      return t.fail(`entry ${entry} is neither free nor needed`);
    }
  }
});

t.test('a million blocks take at most 96 bytes of memory each', async (t) => {
  const index = new BlockIndex({ seed: 3 });
  const row = rowsOf(1, 0, 1);
  for (let i = 0; i < 1_000_000; i++) {
    for (let word = 0; word < KEY_WORDS; word++) row[COMMIT_ROW.key + word] = random() * 2 ** 32;
    index.insert(row, 0, 1);
  }
  t.ok(index.bytes / index.size <= 96, `${(index.bytes / index.size).toFixed(2)} bytes a block`);
});
