import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ClusterProcesses } from '../fixtures/cluster-processes.ts';
import { runRefill } from '../fixtures/node-process.ts';

t.setTimeout(900_000);

/** Starting many processes takes long where others start some too. */
const PATIENT = { readyMs: 240_000, timeoutMs: 240_000 };

t.test('join says what would be used, or why it would be refused', async (t) => {
  const cluster = new ClusterProcesses(t);
  const root = join(cluster.base, 'root');
  const state = ['--state', join(cluster.base, 'state-new')];
  const tryJoin = (...args: string[]) => runRefill(['join', '--node', 'new', ...state, ...args], PATIENT);
  const secret = ['--secret-file', cluster.secretFile];

  await t.test('a directory without a cluster', async (t) => {
    mkdirSync(root);
    const { code, stderr } = await tryJoin('--root', root, ...secret);
    t.equal(code, 1);
    t.match(stderr, /ERR_NOT_A_ROOT: .*there is no cluster to join\. Start `refill metadata`/);
  });

  const service = await cluster.metadata(PATIENT);
  const node = await cluster.node('a', PATIENT);

  await t.test('a node that may join', async (t) => {
    const { code, stdout, stderr } = await tryJoin('--root', root, ...secret, '--json');
    t.equal(code, 0, stderr);
    const report = JSON.parse(stdout);
    t.match(report, {
      ...{ root, node: 'new', peer: /^12D3Koo/, members: [{ node: 'a', state: 'live' }] },
      ...{ clusterId: /^[0-9a-f]{16}$/, service: { peer: /^12D3Koo/ }, addresses: [/^\/ip4\/127/] },
      command: `refill serve --root ${root} ${state.join(' ')} --node new --metadata auto ${secret.join(' ')}`,
    });
    const text = await tryJoin('--root', root, ...secret);
    t.match(text.stdout, new RegExp(`peer id +${report.peer}`), 'the key it will join with');
    t.match(text.stdout, /members +a \(live\)/);
  });

  await t.test('a wrong secret, and none', async (t) => {
    const wrong = await tryJoin('--root', root, '--secret-file', cluster.secret('wrong'));
    t.equal(wrong.code, 1);
    t.match(wrong.stderr, /ERR_UNAUTHORIZED: the metadata service at .* do not trust each other.*12D3Koo/);
    const none = await tryJoin('--root', root);
    t.equal(none.code, 2);
    t.match(none.stderr, /ERR_CONFIG: secretFile and allowPeers are both absent/);
  });

  await t.test('a name that is taken', async (t) => {
    const { code, stderr } = await tryJoin('--root', root, ...secret, '--node', 'a');
    t.equal(code, 1);
    t.match(stderr, /ERR_NODE_IDENTITY_TAKEN: a node named a is in the cluster already/);
  });

  await node.end('SIGTERM');
  await service.end('SIGTERM');

  await t.test('a service that is away', async (t) => {
    const { code, stderr } = await tryJoin('--root', root, ...secret, '--timeout', '3s');
    t.equal(code, 1);
    t.match(stderr, /ERR_METADATA_UNAVAILABLE: the metadata service at .* does not answer/);
  });
});
