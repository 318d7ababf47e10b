import { randomBytes } from 'node:crypto';
import { open } from '@refill/client';
import { sharedMemory } from '@refill/native-io';
import t from 'tap';
import { nodePlace } from '../fixtures/node-process.ts';

const MIB = 1024 * 1024;
t.setTimeout(120_000);

/**
 * Node and client in this one process, so that one count covers every JavaScript heap that a byte could pass:
 * objects, strings, and the memory behind Buffers and typed arrays. Mapped panes are counted once, before.
 */
t.test('payload bytes never enter the JavaScript heap, on any path', async (t) => {
  const place = nodePlace(t);
  await using store = await open({
    root: place.root,
    state: place.state,
    socket: place.socketPath,
    arenaBytes: '64MiB',
    segmentBytes: '64MiB',
  });
  const kv = await store.namespace({
    name: 'heap',
    model: 'none',
    dtype: 'uint8',
    layout: 'bytes',
    tokensPerBlock: 16,
  });
  const shared = sharedMemory.create(16 * MIB);
  t.teardown(() => shared.free());
  await using region = await store.registerRegion({ fd: shared.fd }, shared.sizeBytes);
  const pane = shared.panes[0]!;
  const pattern = randomBytes(MIB);
  const keys = Array.from({ length: 192 }, () => randomBytes(32));

  const heap = () => {
    globalThis.gc?.();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  let moved = 0;
  let peak = 0;
  const before = heap();
  const look = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    peak = Math.max(peak, heapUsed + arrayBuffers - before);
  };

  for (let i = 0; i < keys.length; i += 16) {
    for (const [j, key] of keys.slice(i, i + 16).entries()) {
      const reservation = await kv.reserve({ key }, MIB);
      reservation!.bytes.set(pattern);
      reservation!.bytes[0] = i + j;
      t.equal(await reservation!.commit({ durability: 'shared' }), 'stored');
      moved += MIB;
    }
    look();
  }
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < keys.length; i += 16) {
      const some = keys.slice(i, i + 16);
      {
        using found = await kv.getMany(some);
        t.equal(found.hits, 16);
        for (const [j, view] of found.views.entries()) t.equal(view!.bytes[0], i + j);
      }
      const into = await kv.getInto(
        region,
        some,
        some.map((_, j) => ({ offsetBytes: j * MIB, lengthBytes: MIB })),
      );
      for (const [j, outcome] of into.entries()) {
        t.same(outcome, { lengthBytes: MIB, tokens: 16 });
        t.equal(pane[j * MIB], i + j);
        t.ok(pattern.subarray(1).equals(pane.subarray(j * MIB + 1, (j + 1) * MIB)));
      }
      moved += 32 * MIB;
      look();
    }
  }
  const fresh = Array.from({ length: 16 }, (_, j) => ({
    key: randomBytes(32),
    offsetBytes: j * MIB,
    lengthBytes: MIB,
  }));
  t.same(await kv.putFrom(region, fresh, { durability: 'shared' }), new Array(16).fill('stored'));
  moved += 16 * MIB;
  look();

  t.ok(moved > 700 * MIB, `${moved / MIB} MiB moved`);
  t.ok(peak < moved / 16, `the heap grew by ${(peak / MIB).toFixed(1)} MiB at most`);
  const { tiers } = await store.status();
  t.ok(
    tiers.shared.bytes > 100 * MIB,
    `${tiers.shared.bytes / MIB} MiB came from segments, ${tiers.dram.bytes / MIB} MiB from DRAM`,
  );
});
