import { type BlockIO, RefillError } from '@refill/interface';
import t from 'tap';
import { SegmentFolders } from '../../../packages/store/src/segment/segment-folders.ts';

const id = (first: number): Uint8Array => new Uint8Array(16).fill(first, 0, 1);

t.test('folders are made once, from the top down; one that is there already is as good', async (t) => {
  const made: string[] = [];
  const mkdir = async (path: string) => {
    made.push(path);
    if (path === 'segments') throw new RefillError('ERR_STORAGE_FAILED', 'it exists', { errno: 17 });
  };
  const folders = new SegmentFolders({ mkdir } as unknown as BlockIO);
  for (const first of [1, 1, 0xff]) await folders.ensure(id(first), 1000);
  t.same(made, ['segments', 'segments/01', 'segments/ff']);
});

t.test('one that could not be made is tried again the next time', async (t) => {
  let errno = 28;
  const mkdir = async () => {
    if (errno !== 0) throw new RefillError('ERR_STORAGE_FULL', 'no space', { errno });
  };
  const folders = new SegmentFolders({ mkdir } as unknown as BlockIO);
  await t.rejects(folders.ensure(id(1), 1000), { code: 'ERR_STORAGE_FULL' });
  errno = 0;
  await folders.ensure(id(1), 1000);
});
