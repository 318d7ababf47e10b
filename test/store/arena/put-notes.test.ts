import { PUT_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { PutNotes } from '../../../packages/store/src/arena/put-notes.ts';

const rowsOf = (...values: number[]): Uint32Array => {
  const rows = new Uint32Array(values.length * PUT_ROW_WORDS);
  values.forEach((value, i) => {
    rows.fill(value, i * PUT_ROW_WORDS, (i + 1) * PUT_ROW_WORDS);
  });
  return rows;
};

const noteAt = (notes: PutNotes, note: number): number[] => [
  ...new Set(notes.rows.subarray(note * PUT_ROW_WORDS, (note + 1) * PUT_ROW_WORDS)),
];

t.test('a note is a copy of its row, and stays one while more are added', (t) => {
  const notes = new PutNotes();
  const puts = rowsOf(7, 8);
  const second = notes.add(puts, 1);
  puts.fill(0);
  const others = Array.from({ length: 200 }, (_, i) => notes.add(rowsOf(1000 + i), 0));
  t.same(noteAt(notes, second), [8]);
  t.same(
    others.map((note) => noteAt(notes, note)),
    others.map((_, i) => [1000 + i]),
  );
  t.equal(notes.size, 201);
  t.end();
});

t.test('the place of a removed note is used again, and no other', (t) => {
  const notes = new PutNotes();
  const [first, second] = [notes.add(rowsOf(1), 0), notes.add(rowsOf(2), 0)];
  notes.remove(first);
  t.equal(notes.size, 1);
  t.equal(notes.add(rowsOf(3), 0), first);
  t.same(noteAt(notes, second), [2]);
  t.equal(notes.size, 2);
  t.end();
});
