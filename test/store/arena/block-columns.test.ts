import t from 'tap';
import { BlockColumns } from '../../../packages/store/src/arena/block-columns.ts';

t.test('every column grows together and keeps what it holds', (t) => {
  const columns = new BlockColumns();
  columns.grow(1);
  const names = Object.keys(columns) as (keyof BlockColumns)[];
  const arrays = (): Record<string, { length: number; [at: number]: number }> => columns as never;
  t.ok(names.length >= 12);
  for (const [i, name] of names.entries()) arrays()[name]![0] = i + 1;
  const before = columns.state;
  columns.grow(columns.state.length);
  t.equal(columns.state, before, 'there was room');
  columns.grow(columns.state.length + 1);
  for (const [i, name] of names.entries()) {
    t.equal(arrays()[name]![0], i + 1, name);
    t.equal(arrays()[name]!.length, columns.state.length, name);
  }
  t.ok(columns.state.length >= 2 * before.length, 'growth is by doubling');
  t.end();
});
