import t from 'tap';
import { FINGERPRINT, keys, payload, serveDouble } from '../fixtures/served-double.ts';

t.test('reading and writing payloads takes no memory for them beside the arena', async (t) => {
  const { node, connect } = await serveDouble(t, {
    arenaBytes: 64 * 1024 * 1024,
    paneBytes: 32 * 1024 * 1024,
  });
  const kv = await (await connect()).namespace(FINGERPRINT);
  const all = keys(16);
  const bytes = payload(1024 * 1024, 1);
  await kv.putMany(all.map((key) => ({ key, bytes })));
  const memory = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  let readBytes = 0;
  const before = memory();
  let most = 0;
  for (let round = 0; round < 200; round++) {
    using found = await kv.getMany(all);
    for (const view of found.views) {
      if (!node.panes.some((pane) => pane.buffer === view?.bytes.buffer)) t.fail('a view is a copy');
      readBytes += view!.bytes.length;
    }
    most = Math.max(most, memory() - before);
  }
  t.equal(readBytes, 200 * 16 * 1024 * 1024);
  t.ok(most < readBytes / 50, `${most} bytes of heap for ${readBytes} of payload`);

  const beforePut = memory();
  await kv.putMany(keys(16, 100).map((key) => ({ key, bytes })));
  t.ok(memory() - beforePut < 8 * 1024 * 1024, 'a put copies into the arena, nowhere else');
});

t.test('a view that is never released warns once and keeps its slot', async (t) => {
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--expose-gc');
  const { runInNewContext } = await import('node:vm');
  const collect = runInNewContext('gc') as () => void;
  const { node, warnings, connect } = await serveDouble(t);
  const kv = await (await connect()).namespace(FINGERPRINT);
  const all = keys(2);
  await kv.putMany(all.map((key, i) => ({ key, bytes: payload(10, i) })));
  for (let i = 0; i < 3; i++) await kv.getMany(all);
  for (let i = 0; i < 200 && warnings.length === 0; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.equal(warnings.length, 1);
  t.match(warnings[0], /never released/);
  t.equal(node.held, 6, 'bytes that may still be read are not given away');
});
