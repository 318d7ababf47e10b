import { join } from 'node:path';
import t from 'tap';
import { nodePlace, runRefill, startNodeProcess } from '../fixtures/node-process.ts';
import { keyOfNumber } from '../fixtures/payload.mjs';
import { mountSharedFs, requiresSharedFs, sharedFs } from '../fixtures/shared-fs.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

t.setTimeout(600_000);

/** Far above every deadline used here, far below a test's time. */
const BOUND_MS = 20_000;

t.test(`on ${sharedFs.name}, mounted by two hosts`, async (t) => {
  if (!requiresSharedFs(t)) return;
  const [here, there] = await mountSharedFs(t, 2);

  await t.test('what one mount writes the other reads: doctor finds nothing wrong', async (t) => {
    const roots = ['--root', join(here!.path, 'refill'), '--second', join(there!.path, 'refill')];
    const { code, stdout, stderr } = await runRefill(['doctor', ...roots, '--json'], { timeoutMs: 120_000 });
    const { findings, failures } = JSON.parse(stdout || '{}');
    t.equal(
      failures,
      0,
      `${JSON.stringify(findings?.filter((one: { level: string }) => one.level === 'fail'))} ${stderr}`,
    );
    t.equal(code, 0);
  });

  await t.test('blocks stored by a node on one host are read by its successor on the other', async (t) => {
    const place = nodePlace(t, join(here!.path, 'root'));
    const first = await startNodeProcess(t, place);
    const writer = await openStored(place.socketPath);
    const blocks = new StoredBlocks(1);
    const outcomes = await blocks.put(writer.namespace, 40);
    t.same([...new Set(outcomes)], ['stored']);
    await writer.store.close();
    await first.end('SIGTERM');
    const successor = nodePlace(t, join(there!.path, 'root'));
    const second = await startNodeProcess(t, successor);
    const reader = await openStored(successor.socketPath);
    t.same((await blocks.check(reader.namespace)).wrong, [], 'rebuilt from segments alone, every byte right');
    await reader.store.close();
    await second.end('SIGTERM');
  });

  await t.test('a mount whose daemon stands still costs a miss within the deadline', async (t) => {
    const place = nodePlace(t, join(here!.path, 'hung'));
    const first = await startNodeProcess(t, place);
    const writer = await openStored(place.socketPath);
    const blocks = new StoredBlocks(2);
    await blocks.put(writer.namespace, 20);
    await writer.store.close();
    await first.end('SIGTERM');
    const node = await startNodeProcess(t, place);
    const { store, namespace } = await openStored(place.socketPath);
    here!.freeze();
    try {
      const started = performance.now();
      const keys = Array.from({ length: 10 }, (_, number) => keyOfNumber(2, number));
      using late = await namespace.getMany(keys, { deadlineMs: 500 });
      t.equal(late.hits, 0);
      t.equal(late.missReason(0), 'late');
      t.equal(await namespace.matchPrefix(keys), 10, 'lookups answer meanwhile');
      t.ok(performance.now() - started < BOUND_MS);
    } finally {
      here!.thaw();
    }
    let wrong = ['not yet'];
    for (let wait = 0; wait < 60 && wrong.length > 0; wait++) {
      wrong = (await blocks.check(namespace)).wrong;
      if (wrong.length > 0) await new Promise((resolve) => setTimeout(resolve, 500));
    }
    t.same(wrong, [], 'when it moves again, so do the blocks');
    await store.close();
    await node.end('SIGTERM');
  });
});
