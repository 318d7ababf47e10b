import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { nodePlace, startNodeProcess } from '../fixtures/node-process.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

t.setTimeout(120_000);
const args = ['--arena', '64MiB', '--segment', '8MiB'];

t.test('a node that was killed comes back under another name with everything acknowledged', async (t) => {
  const place = nodePlace(t);
  const blocks = new StoredBlocks(1);
  for (const name of ['first', 'second', 'first', 'third']) {
    const node = await startNodeProcess(t, place, { args: [...args, '--node', name] });
    const { store, namespace } = await openStored(place.socketPath);
    t.same((await blocks.check(namespace)).wrong, [], `as ${name}`);
    await blocks.put(namespace, 12);
    await node.end('SIGKILL');
    await store.close();
  }
  // And without its database, which knew under which names it had run.
  rmSync(place.state, { recursive: true });
  await startNodeProcess(t, place, { args: [...args, '--node', 'fourth'] });
  const { store, namespace } = await openStored(place.socketPath);
  const { wrong, hits } = await blocks.check(namespace);
  t.same(wrong, []);
  t.ok(hits >= 48, `${hits} blocks`);
  await store.close();
});

t.test('a node whose database was set back loses nothing that was acknowledged since', async (t) => {
  const place = nodePlace(t);
  const copy = join(place.base, 'copy');
  const blocks = new StoredBlocks(1);
  for (let life = 0; life < 3; life++) {
    const node = await startNodeProcess(t, place, { args });
    const { store, namespace } = await openStored(place.socketPath);
    t.same((await blocks.check(namespace)).wrong, [], `life ${life}`);
    await blocks.put(namespace, 12);
    await store.close();
    await node.end(life === 1 ? 'SIGKILL' : 'SIGTERM');
    if (life === 0) cpSync(join(place.state, 'metadata'), copy, { recursive: true });
  }
  rmSync(join(place.state, 'metadata'), { recursive: true });
  cpSync(copy, join(place.state, 'metadata'), { recursive: true });
  const node = await startNodeProcess(t, place, { args });
  const { store, namespace } = await openStored(place.socketPath);
  const { wrong, hits } = await blocks.check(namespace);
  t.same(wrong, []);
  t.equal(hits, 36);
  t.match(node.stderr(), /rebuil/);
  await store.close();
});
