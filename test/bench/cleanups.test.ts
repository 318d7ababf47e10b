import t from 'tap';
import { Cleanups } from '../../bench/src/cleanups.ts';

t.test('what was made is undone in reverse, one after the other, once', async (t) => {
  const done: number[] = [];
  {
    await using cleanups = new Cleanups();
    for (const number of [1, 2, 3]) {
      cleanups.teardown(async () => {
        await new Promise((resolve) => setImmediate(resolve));
        done.push(number);
      });
    }
    t.same(done, []);
  }
  t.same(done, [3, 2, 1]);
});

t.test('the end of the process begins every step that is left', async (t) => {
  const begun: number[] = [];
  await using cleanups = new Cleanups();
  for (const number of [1, 2]) cleanups.teardown(() => begun.push(number));
  cleanups.now();
  t.same(begun, [2, 1]);
});
