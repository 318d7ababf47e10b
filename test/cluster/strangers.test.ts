import t from 'tap';
import { ClusterProcesses } from '../fixtures/cluster-processes.ts';

t.setTimeout(180_000);

t.test('who does not belong is refused with a clear error', async (t) => {
  const cluster = new ClusterProcesses(t);
  const service = await cluster.metadata();
  const node = await cluster.node('a');

  await t.test('a wrong secret', (t) => {
    return t.rejects(
      cluster.node('b', { secretFile: cluster.secret('wrong') }),
      /ended \(1\).*ERR_UNAUTHORIZED/s,
      'refused',
    );
  });

  await t.test('no secret at all', (t) => {
    return t.rejects(
      cluster.node('b', { secretFile: '/nonexistent' }),
      /ERR_CONFIG: secretFile is .*cannot be read/,
    );
  });

  await t.test('a second node of one name', (t) => {
    return t.rejects(
      cluster.node('a', { place: 'twin' }),
      /ERR_NODE_IDENTITY_TAKEN: node a of .* runs already/,
    );
  });

  await t.test('a second metadata service of one root', (t) => {
    return t.rejects(
      cluster.metadata({ place: 'twin', args: ['--node', 'other'] }),
      /ERR_NODE_IDENTITY_TAKEN: the metadata of .* is in another process/,
    );
  });

  await t.test('a node whose shared directory is another cluster’s', async (t) => {
    const other = new ClusterProcesses(t);
    const foreign = await other.metadata();
    const address = /\/ip4\/\S+/.exec(foreign.output())![0];
    await t.rejects(
      cluster.node('c', { args: ['--metadata', address], secretFile: other.secretFile }),
      /ERR_NOT_A_ROOT: .*belongs to cluster|ERR_UNAUTHORIZED/,
    );
  });

  t.match(await node.end('SIGTERM'), { code: 0 });
  t.match(await service.end('SIGTERM'), { code: 0 });
});
