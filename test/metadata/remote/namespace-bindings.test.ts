import { LOCATION_ROW, LOCATION_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import { FINGERPRINT, keysOf, rowsOf } from '../../fixtures/directory-world.ts';
import { ServiceWorld, type TestNode } from '../../fixtures/service-world.ts';

async function segmentOf(node: TestNode, id: number, namespace = 0): Promise<number> {
  const { lease } = node.cluster;
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, id);
  const fields = { id: bytes, namespace, node: lease.node, epoch: lease.epoch, sizeBytes: 8 << 20 };
  return (await node.directory.createSegment(fields)).index;
}

async function found(node: TestNode, n: number): Promise<boolean> {
  const row = new Uint32Array(LOCATION_ROW_WORDS);
  await node.directory.lookup(0, keysOf(n, 1), 1, row);
  return row[LOCATION_ROW.found] === 1;
}

t.test('an index that means another namespace is refused, never read as the one it meant', async (t) => {
  const world = await new ServiceWorld().start();
  const a = await world.joined('a');
  const other = { ...FINGERPRINT, name: 'other' };
  await a.directory.openNamespace(FINGERPRINT);
  const segment = await segmentOf(a, 1);
  await a.directory.commit('a', a.cluster.lease.epoch, rowsOf(segment, 0, 1), 1, new Uint8Array(1));
  t.equal(await found(a, 0), true);
  // The database and the copy of the catalogue: namespaces are counted from the start, by who comes first.
  await world.stop();
  await world.engine.clear({ gte: Uint8Array.of(0), lt: Uint8Array.of(255) });
  world.files.content.clear();
  await world.start();
  const c = await world.joined('c');
  t.equal((await c.directory.openNamespace(other)).index, 0);
  const next = await segmentOf(c, 2);
  await c.directory.commit('c', c.cluster.lease.epoch, rowsOf(next, 0, 8), 8, new Uint8Array(8));
  t.equal(await found(c, 7), true);
  t.equal(await found(a, 7), false, 'that key is in another namespace');
  t.equal(await found(a, 0), false);
  t.equal(await a.directory.matchPrefix(0, keysOf(0, 1), 1), 0);
  await world.clock.advance(3000);
  t.equal(a.directory.namespace(0), undefined);
  t.equal(await found(a, 0), false);
  await t.rejects(a.directory.openNamespace(other), { code: 'ERR_NAMESPACE_UNKNOWN', message: /Restart/ });
  t.equal((await a.directory.openNamespace(FINGERPRINT)).index, 1, 'it is found again by its fingerprint');
  await world.stop();
});
