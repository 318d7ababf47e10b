import { type BlockIO, PANE_BYTES } from '@refill/interface';
import t from 'tap';
import { mappedBytes } from '../../../packages/store/src/arena/mapped-bytes.ts';

const arena = [new Uint8Array(100), new Uint8Array(50)];
const region = [new Uint8Array(10)];
const io = {
  panes: arena,
  regionPanes: (buffer: number) => (buffer === 3 ? region : []),
} as unknown as BlockIO;

t.test('a view is on the memory itself, of the arena or of a region', (t) => {
  mappedBytes(io, 0, 20, 4).fill(1);
  t.same([...arena[0]!.subarray(19, 25)], [0, 1, 1, 1, 1, 0]);
  mappedBytes(io, 0, PANE_BYTES + 40, 10).fill(2);
  t.equal(arena[1]![49], 2);
  mappedBytes(io, 3, 0, 10).fill(3);
  t.equal(region[0]![9], 3);
  t.end();
});

t.test('memory that is not there is refused, also across the end of a pane', (t) => {
  for (const [buffer, offset, length] of [
    [0, 99, 2],
    [0, PANE_BYTES + 49, 2],
    [0, 2 * PANE_BYTES, 1],
    [4, 0, 1],
  ] as const) {
    t.throws(() => mappedBytes(io, buffer, offset, length), {
      name: 'RangeError',
      message: `buffer ${buffer} has no ${length} bytes at ${offset}`,
    });
  }
  t.end();
});
