import t from 'tap';
import { mutate, provePassing } from '../../scripts/mutate.mjs';
import { MUTATIONS } from './mutations.mjs';

t.setTimeout(600_000);

t.test('the tests named for mutations pass on sources that nothing broke', async (t) => {
  t.same(await provePassing(MUTATIONS), []);
});

t.test('every broken invariant is noticed by a test', async (t) => {
  await mutate(MUTATIONS, ({ name }, killedBy) => t.ok(killedBy !== undefined, `noticed: ${name}`));
  t.ok(MUTATIONS.length >= 15);
});
