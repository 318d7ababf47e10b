import { resolve } from 'node:path';
import { REGIONS_PER_CLIENT_MAX } from '@refill/interface';
import t from 'tap';
import { FINGERPRINT, keys, payload, serveDouble } from '../fixtures/served-double.ts';

const ALL = keys(3);

t.test('blocks move between a region and the node without a copy by the client', async (t) => {
  const { node, connect } = await serveDouble(t);
  const store = await connect();
  const kv = await store.namespace(FINGERPRINT);
  const memory = new Uint8Array(1 << 20);
  node.regionMemory.set('/dev/shm/engine', memory);
  await using region = await store.registerRegion({ path: '/dev/shm/engine' }, memory.length);
  memory.set(payload(5000, 1), 100);
  memory.set(payload(6000, 2), 8192);
  const blocks = [
    { key: ALL[0]!, offsetBytes: 100, lengthBytes: 5000 },
    { key: ALL[1]!, offsetBytes: 8192, lengthBytes: 6000, tokens: 3 },
  ];
  t.same(await kv.putFrom(region, blocks, { durability: 'shared' }), ['stored', 'stored']);
  t.same(await kv.putFrom(region, blocks), ['exists', 'exists']);
  t.same(await kv.putFrom(region, []), []);
  const places = [
    { offsetBytes: 100_000, lengthBytes: 6000 },
    { offsetBytes: 200_000, lengthBytes: 6000 },
    { offsetBytes: 300_000, lengthBytes: 100 },
  ];
  t.same(await kv.getInto(region, [ALL[1]!, ALL[2]!, ALL[0]!], places), [
    { lengthBytes: 6000, tokens: 3 },
    'miss',
    'tooLong',
  ]);
  t.same(memory.subarray(100_000, 106_000), payload(6000, 2));
  t.same(await kv.getInto(region, [], []), []);
  t.equal(node.held, 0, 'nothing stays pinned');
});

t.test('a region is registered by a passed descriptor', async (t) => {
  const { node, connect } = await serveDouble(t);
  const store = await connect();
  node.regionMemory.set('fd 17', new Uint8Array(4096));
  const region = await store.registerRegion({ fd: 17 }, 4096);
  t.same(node.closedFds, [17], 'the node keeps no descriptor of its own beside the mapping');
  t.equal(node.passedFds.size, 0, 'the descriptor was taken');
  t.equal(region.sizeBytes, 4096);
  await region.unregister();
  await region.unregister();
});

t.test("a relative path is resolved in the client's working directory, not in the node's", async (t) => {
  const { node, connect } = await serveDouble(t);
  const store = await connect();
  node.regionMemory.set(resolve('engine.mmap'), new Uint8Array(4096));
  const region = await store.registerRegion({ path: './shm/../engine.mmap' }, 4096);
  t.equal(region.sizeBytes, 4096);
  await region.unregister();
});

t.test('places outside a region and regions of elsewhere are refused', async (t) => {
  const { node, server, connect } = await serveDouble(t);
  const store = await connect();
  const kv = await store.namespace(FINGERPRINT);
  node.regionMemory.set('/dev/shm/engine', new Uint8Array(4096));
  const region = await store.registerRegion({ path: '/dev/shm/engine' }, 4096);
  const at = (offsetBytes: number, lengthBytes: number) =>
    kv.getInto(region, [ALL[0]!], [{ offsetBytes, lengthBytes }]);
  await t.rejects(at(4000, 97), { name: 'RangeError', message: /places\[0\] ends at byte 4097/ });
  await t.rejects(at(-1, 1), { name: 'RangeError', message: /places\[0\]\.offsetBytes/ });
  await t.rejects(at(0.5, 1), RangeError);
  await t.rejects(at(0, -1), RangeError);
  await t.rejects(kv.getInto(region, [ALL[0]!], [null as never]), {
    name: 'TypeError',
    message: /places\[0\] must be an object \{offsetBytes, lengthBytes\}, got null/,
  });
  await t.rejects(kv.getInto(region, ALL, []), { message: /3 keys, 0 places/ });
  await t.rejects(kv.getInto({} as never, [ALL[0]!], [{ offsetBytes: 0, lengthBytes: 1 }]), TypeError);
  const outside = [{ key: ALL[0]!, offsetBytes: 4096, lengthBytes: 1 }];
  await t.rejects(kv.putFrom(region, outside), RangeError);

  for (const sizeBytes of [0, -1, 1.5, Number.NaN]) {
    await t.rejects(store.registerRegion({ path: '/dev/shm/engine' }, sizeBytes), RangeError);
  }
  await t.rejects(store.registerRegion({ path: '' }, 1), TypeError);
  await t.rejects(store.registerRegion({ fd: -1 }, 1), TypeError);
  await t.rejects(store.registerRegion(null as never, 1), TypeError);
  await t.rejects(store.registerRegion({ path: '/none' }, 1), { code: 'ERR_INVALID_ARGUMENT' });

  await server.stop();
  await server.start();
  await kv.exists(ALL);
  await t.rejects(at(0, 1), { code: 'ERR_HANDLE_UNKNOWN', message: /Register it again/ });
  await region.unregister();
});

t.test('a client registers so many regions and no more, and failures do not count', async (t) => {
  const { node, connect } = await serveDouble(t);
  const store = await connect();
  node.regionMemory.set('/dev/shm/engine', new Uint8Array(4096));
  const register = () => store.registerRegion({ path: '/dev/shm/engine' }, 4096);
  await t.rejects(store.registerRegion({ path: '/none' }, 1));
  const regions = await Promise.all(Array.from({ length: REGIONS_PER_CLIENT_MAX }, register));
  await t.rejects(register(), { code: 'ERR_LIMIT', message: /Unregister one/ });
  await regions[0]!.unregister();
  await register();
});
