import type { BlockIO } from '@refill/interface';
import t from 'tap';
import { listSegments } from '../../../packages/store/src/segment/segment-list.ts';
import { segmentFolder, segmentIdOf, segmentPath } from '../../../packages/store/src/segment/segment-path.ts';

const id = (first: number, rest: number): Uint8Array => new Uint8Array(16).fill(rest).fill(first, 0, 1);

t.test('a path names its segment, and no other name is one', async (t) => {
  const path = segmentPath(id(0x0a, 0xff));
  t.equal(path, `segments/0a/0a${'ff'.repeat(15)}.seg`);
  t.equal(segmentFolder(id(0x0a, 0xff)), 'segments/0a');
  t.same(segmentIdOf(path.split('/').at(-1)!), id(0x0a, 0xff));
  const digits = 'ab'.repeat(16);
  for (const name of [
    digits,
    `${digits}.tmp`,
    `${digits.toUpperCase()}.seg`,
    `${digits}0.seg`,
    `x${digits}.seg`,
  ])
    t.equal(segmentIdOf(name), undefined, name);
});

t.test(
  'all segments are listed, each in the folder of its digits; other files are passed over',
  async (t) => {
    const name = (bytes: Uint8Array): string => segmentPath(bytes).split('/').at(-1)!;
    const folders: Record<string, string[]> = {
      segments: ['00', 'ff', 'FF', 'abc', 'lost+found', '7a'],
      'segments/00': [name(id(0, 1)), name(id(0, 2)), 'notes.txt'],
      'segments/ff': [name(id(0xff, 3)), name(id(0, 9))],
      'segments/7a': [],
    };
    const io = { list: async (path: string) => folders[path] ?? t.fail(`${path} is listed`) };
    const ids = await listSegments(io as unknown as BlockIO, 1000);
    t.same(ids.map(name).sort(), [name(id(0, 1)), name(id(0, 2)), name(id(0xff, 3))]);
  },
);
