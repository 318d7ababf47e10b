import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { forkPlain } from '../fixtures/child.ts';
import { seededRandom } from '../fixtures/seeded-random.ts';
import { serveDouble, until } from '../fixtures/served-double.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/held-client.mjs', import.meta.url));

t.test('a client killed at any instant leaves nothing with the node', async (t) => {
  const random = seededRandom(t);
  const { node, socketPath } = await serveDouble(t);
  const kills = Number(process.env.REFILL_KILLS ?? 8);
  for (let i = 0; i < kills; i++) {
    const client = forkPlain(PROGRAM, [socketPath]);
    const ended = once(client, 'exit');
    await once(client, 'message');
    t.ok(node.held > 0, 'it holds pins and reservations');
    await new Promise((resolve) => setTimeout(resolve, random() * 30));
    client.kill('SIGKILL');
    await ended;
    await until(() => node.sessions.size === 0);
    t.equal(node.closes, i + 1, 'its session was closed once');
    t.equal(node.held, 0);
  }
});
