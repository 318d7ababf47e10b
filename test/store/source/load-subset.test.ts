import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '@refill/store';
import t from 'tap';
import { copyOutcomes, doneBytes, subsetOf } from '../../../packages/store/src/source/load-subset.ts';

const statusAt = (rows: Uint32Array, i: number): number | undefined =>
  rows[i * LOAD_ROW_WORDS + LOAD_ROW.status];

/** Rows whose every word is 100 times their number, with these lengths and outcomes. */
function rowsOf(...blocks: [lengthBytes: number, status: number][]): Uint32Array {
  const rows = new Uint32Array(blocks.length * LOAD_ROW_WORDS);
  blocks.forEach(([lengthBytes, status], i) => {
    const row = i * LOAD_ROW_WORDS;
    rows.fill(100 * i, row, row + LOAD_ROW_WORDS);
    rows[row + LOAD_ROW.lengthBytes] = lengthBytes;
    rows[row + LOAD_ROW.status] = status;
  });
  return rows;
}

t.test('a subset is a copy of the chosen rows, all of them pending', (t) => {
  const rows = rowsOf([10, LOAD_STATUS.gone], [20, LOAD_STATUS.done], [40, LOAD_STATUS.late]);
  const subset = subsetOf(rows, 3, (i) => i !== 1);
  t.match(subset, { count: 2, bytes: 50 });
  t.same([...subset.indexes.subarray(0, 2)], [0, 2]);
  t.equal(subset.rows.length, 2 * LOAD_ROW_WORDS);
  t.same([statusAt(subset.rows, 0), statusAt(subset.rows, 1)], [LOAD_STATUS.pending, LOAD_STATUS.pending]);
  t.equal(subset.rows[LOAD_ROW_WORDS + LOAD_ROW.segment], 200);
  subset.rows.fill(7);
  t.equal(rows[2 * LOAD_ROW_WORDS + LOAD_ROW.segment], 200, 'the call keeps its own');
  t.end();
});

t.test('outcomes go back to the rows they came from, and to no other', (t) => {
  const rows = rowsOf([10, LOAD_STATUS.gone], [20, LOAD_STATUS.gone], [40, LOAD_STATUS.gone]);
  const subset = subsetOf(rows, 3, (i) => i > 0);
  subset.rows[LOAD_ROW.status] = LOAD_STATUS.corrupt;
  subset.rows[LOAD_ROW_WORDS + LOAD_ROW.status] = LOAD_STATUS.done;
  t.equal(doneBytes(subset), 40);
  copyOutcomes(subset, rows);
  t.same(
    [0, 1, 2].map((i) => statusAt(rows, i)),
    [LOAD_STATUS.gone, LOAD_STATUS.corrupt, LOAD_STATUS.done],
  );
  t.end();
});
