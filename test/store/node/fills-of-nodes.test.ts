import { FILL_ROW_WORDS, FILL_STATUS, type NodeSession } from '@refill/interface';
import t from 'tap';
import { settle } from '../../fixtures/manual-clock.ts';
import { createWorld, keysOf, openSession, payload, put, type World } from '../../fixtures/node-world.ts';
import { ServiceWorld } from '../../fixtures/service-world.ts';

const { granted, held } = FILL_STATUS;

interface Client {
  world: World;
  session: NodeSession;
  namespace: number;
}

/** Two nodes of one metadata service, with a client each. */
async function twoNodes(): Promise<{ service: ServiceWorld; a: Client; b: Client }> {
  const service = await new ServiceWorld().start();
  const clientOf = async (name: string): Promise<Client> => {
    const { cluster, directory } = await service.joined(name);
    const { clock } = service;
    const world = await createWorld({ nodeName: name, clock, cluster, partsOf: () => ({ directory }) });
    return { world, ...(await openSession(world)) };
  };
  return { service, a: await clientOf('a'), b: await clientOf('b') };
}

async function acquire({ session, namespace }: Client, numbers: number[]): Promise<number[]> {
  const rows = new Uint32Array(numbers.length * FILL_ROW_WORDS);
  await session.acquireFill(namespace, keysOf(...numbers), numbers.length, 60_000, 1000, rows);
  return numbers.map((_, i) => rows[i * FILL_ROW_WORDS]!);
}

t.test(
  'of two nodes one is granted a missing block; the other gets it when the first client ends',
  async (t) => {
    const { service, a, b } = await twoNodes();
    t.same(await acquire(a, [1, 2]), [granted, granted]);
    t.same(await acquire(b, [2, 3]), [held, granted]);
    let count = -1;
    void b.session.awaitFill(b.namespace, keysOf(1, 2), 2, 30_000).then((present) => (count = present));
    await settle();
    t.equal(count, -1);
    a.session.close();
    await settle();
    await settle();
    t.equal(count, 0);
    t.same(await acquire(b, [1, 2]), [granted, granted]);
    t.same(service.failures, []);
    await service.stop();
  },
);

t.test('a put on one node wakes who waits on the other with its heartbeat', async (t) => {
  const { service, a, b } = await twoNodes();
  t.same(await acquire(a, [1]), [granted]);
  let isWoken = false;
  void b.session.awaitFill(b.namespace, keysOf(1), 1, 30_000).then(() => {
    isWoken = true;
  });
  await put(a.world, a.session, a.namespace, 1, payload(1, 10));
  await settle();
  t.notOk(isWoken);
  await service.clock.advance(2500);
  t.ok(isWoken);
  t.match(await b.session.locate(b.namespace, keysOf(1), 1, 4, 1000), [
    { node: 'a', prefixBlocks: 1, blocks: 1, addresses: ['/sim/peer-a'] },
    { node: 'b', blocks: 0 },
  ]);
  await service.stop();
});

t.test('a node that stops gives the leases of its clients back', async (t) => {
  const { service, a, b } = await twoNodes();
  t.same(await acquire(a, [1]), [granted]);
  await a.world.node.stop();
  await settle();
  t.same(await acquire(b, [1]), [granted], 'its sessions were closed');
  await service.stop();
});
