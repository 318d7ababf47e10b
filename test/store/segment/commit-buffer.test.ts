import { COMMIT_ROW, COMMIT_ROW_WORDS, type Directory } from '@refill/interface';
import t from 'tap';
import { CommitBuffer } from '../../../packages/store/src/segment/commit-buffer.ts';
import { ENTRY, ENTRY_WORDS } from '../../../packages/store/src/segment/segment-format.ts';

interface Call {
  node: string;
  epoch: number;
  keys: number[];
}

/** A directory that accepts all keys but those in `refused`, and notes the calls. */
function directoryOf(refused = new Set<number>()) {
  const calls: Call[] = [];
  const commit: Directory['commit'] = async (node, epoch, rows, count, accepted) => {
    const keys = Array.from({ length: count }, (_, i) => rows[i * COMMIT_ROW_WORDS + COMMIT_ROW.key]!);
    calls.push({ node, epoch, keys });
    keys.forEach((key, i) => {
      accepted[i] = refused.has(key) ? 0 : 1;
    });
  };
  return { calls, refused, directory: { commit } as Directory };
}

/** Entries whose keys begin with their number. */
function entriesOf(count: number): Uint32Array {
  const entries = new Uint32Array(count * ENTRY_WORDS);
  for (let i = 0; i < count; i++) {
    entries[i * ENTRY_WORDS + ENTRY.key] = i;
    entries[i * ENTRY_WORDS + ENTRY.offsetPages] = 10 + i;
  }
  return entries;
}

const keeps = async (): Promise<boolean> => false;

t.test('blocks are committed in their order, as who and under the epoch that were set', async (t) => {
  const { directory, calls } = directoryOf();
  const buffer = new CommitBuffer(directory, keeps);
  const entries = entriesOf(4);
  buffer.as('node-a', 3);
  for (const block of [2, 0]) t.equal(buffer.add(entries, block, 1, 7), undefined);
  t.same(calls, []);
  await buffer.flush();
  await buffer.flush();
  buffer.as('node-b', 4);
  await buffer.add(entries, 3, 1, 7);
  await buffer.flush();
  t.same(calls, [
    { node: 'node-a', epoch: 3, keys: [2, 0] },
    { node: 'node-b', epoch: 4, keys: [3] },
  ]);
  t.equal(buffer.accepted, 3);
});

t.test('a full buffer is committed by itself, and the caller told to wait', async (t) => {
  const { directory, calls } = directoryOf();
  const buffer = new CommitBuffer(directory, keeps);
  const entries = entriesOf(4096);
  for (let i = 0; i < 4095; i++) if (buffer.add(entries, i, 0, 0) !== undefined) return t.fail(`block ${i}`);
  await buffer.add(entries, 4095, 0, 0);
  t.equal(calls.length, 1);
  t.equal(buffer.accepted, 4096);
});

t.test(
  'a place that another block holds is asked for once, and taken only when it is given up',
  async (t) => {
    const { directory, calls, refused } = directoryOf(new Set([0, 1]));
    const asked: number[] = [];
    const buffer = new CommitBuffer(directory, async (rows, row) => {
      const key = rows[row * COMMIT_ROW_WORDS + COMMIT_ROW.key]!;
      t.equal(rows[row * COMMIT_ROW_WORDS + COMMIT_ROW.offsetPages], 10 + key);
      asked.push(key);
      return key === 1 && refused.delete(1);
    });
    const entries = entriesOf(3);
    for (const block of [0, 1, 2]) await buffer.add(entries, block, 0, 0);
    await buffer.flush();
    t.same(asked, [0, 1]);
    t.same(
      calls.map(({ keys }) => keys),
      [[0, 1, 2], [1]],
    );
    t.equal(buffer.accepted, 2, 'block 0 has no place');
  },
);

t.test('blocks of a commit that failed are not committed with later ones', async (t) => {
  const { directory, calls } = directoryOf();
  const fails = { ...directory, commit: () => Promise.reject(new Error('fenced')) } as unknown as Directory;
  let current = fails;
  const buffer = new CommitBuffer(
    { commit: (...args: Parameters<Directory['commit']>) => current.commit(...args) } as Directory,
    keeps,
  );
  const entries = entriesOf(2);
  await buffer.add(entries, 0, 0, 0);
  await t.rejects(buffer.flush(), { message: 'fenced' });
  current = directory;
  await buffer.add(entries, 1, 0, 0);
  await buffer.flush();
  t.same(
    calls.map(({ keys }) => keys),
    [[1]],
  );
});
