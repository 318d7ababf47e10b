import { join } from 'node:path';
import { type Config, loadConfig, nodePaths } from '@refill/cli';
import t from 'tap';

const CLUSTER = '0123456789abcdef';

function paths(dir: string, change: Partial<Config>, env: NodeJS.ProcessEnv = {}) {
  const { config } = loadConfig({ env: { HOME: dir }, cwd: dir });
  return nodePaths({ ...config, ...change }, CLUSTER, { HOME: dir, ...env });
}

t.test("the state of a node is the user's, by cluster, and holds database and socket", async (t) => {
  const state = join('/home/u/.local/state/refill', CLUSTER);
  t.same(paths('/home/u', {}), {
    state,
    database: join(state, 'metadata'),
    socket: join(state, 'node.sock'),
    fdSocket: join(state, 'node.sock.fd'),
  });
  t.equal(paths('/home/u', {}, { XDG_STATE_HOME: '/var/lib/u' }).state, join('/var/lib/u/refill', CLUSTER));
  t.equal(paths('/home/u', { state: '/s' }).socket, '/s/node.sock');
  t.equal(paths('/home/u', { state: '/s', socket: '/run/r.sock' }).socket, '/run/r.sock');
});

t.test('a state inside the shared root is refused', async (t) => {
  for (const state of ['/mnt/root', '/mnt/root/state']) {
    t.throws(() => paths('/home/u', { root: '/mnt/root', state }), {
      code: 'ERR_CONFIG',
      message: /--state/,
    });
  }
  t.ok(paths('/home/u', { root: '/mnt/root', state: '/mnt/root2' }));
});

t.test('a socket path that no address can hold is refused with a shorter one', async (t) => {
  const state = `/${'x'.repeat(104 - '/node.sock'.length - 1)}`;
  t.equal(paths('/home/u', { state }).socket.length, 104);
  t.throws(() => paths('/home/u', { state: `${state}y` }), {
    code: 'ERR_CONFIG',
    message: /105 bytes, and may have at most 104\. Shorten it: --socket \/tmp\/refill-/,
  });
  t.throws(
    () => paths('/home/u', { socket: `/${'ä'.repeat(60)}` }),
    { code: 'ERR_CONFIG' },
    'bytes count, not letters',
  );
});
