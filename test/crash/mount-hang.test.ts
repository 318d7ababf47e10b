import { join } from 'node:path';
import t from 'tap';
import { mountFaultFs } from '../fixtures/fault-fs.ts';
import { nodePlace, startNodeProcess } from '../fixtures/node-process.ts';
import { keyOfNumber } from '../fixtures/payload.mjs';
import { requiresFuse } from '../fixtures/requires.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

t.setTimeout(240_000);

/** Far above every deadline used here, far below a test's time: what passes it was not bounded by the deadline. */
const BOUND_MS = 20_000;

for (const how of ['hung', 'a minute late'] as const) {
  t.test(`a mount that is ${how} costs a miss within the deadline, and DRAM goes on`, async (t) => {
    if (!requiresFuse(t)) return;
    const mount = await mountFaultFs(t);
    const place = nodePlace(t, join(mount.path, 'root'));
    const cold = new StoredBlocks(1);
    const first = await startNodeProcess(t, place);
    const seeded = await openStored(place.socketPath);
    await cold.put(seeded.namespace, 20);
    await seeded.store.close();
    await first.end('SIGTERM');

    const node = await startNodeProcess(t, place);
    const { store, namespace } = await openStored(place.socketPath);
    const warm = new StoredBlocks(2);
    await warm.put(namespace, 10);

    if (how === 'hung') await mount.hang();
    else await mount.delay({ op: ['read', 'write', 'fdatasync', 'open', 'create'], count: 0, ms: 60_000 });

    const started = performance.now();
    const keys = Array.from({ length: 10 }, (_, number) => keyOfNumber(1, number));
    using late = await namespace.getMany(keys, { deadlineMs: 500 });
    t.equal(late.hits, 0);
    t.equal(late.missReason(0), 'late');
    const stored = new StoredBlocks(3);
    const outcomes = await stored.put(namespace, 4, 500);
    t.ok(
      outcomes.every((outcome) => outcome === 'late' || outcome === 'failed'),
      `a put that cannot become durable says so: ${outcomes}`,
    );
    t.same((await warm.check(namespace)).wrong, [], 'blocks in DRAM are served meanwhile');
    t.equal(await namespace.matchPrefix(keys), 10, 'and lookups answer');
    t.ok((await store.status()).sessions >= 1, 'and status answers');
    t.ok(performance.now() - started < BOUND_MS, 'no call outlived its deadline');

    if (how === 'hung') mount.resume();
    else await mount.clear();
    let wrong = ['not yet'];
    for (let wait = 0; wait < 60 && wrong.length > 0; wait++) {
      wrong = (await cold.check(namespace)).wrong;
      if (wrong.length > 0) await new Promise((resolve) => setTimeout(resolve, 500));
    }
    t.same(wrong, [], 'when the mount is back, so are the blocks');
    const again = new StoredBlocks(4);
    let outcome = await again.put(namespace, 2);
    for (let wait = 0; wait < 60 && outcome.some((one) => one !== 'stored'); wait++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      outcome = await again.put(namespace, 2);
    }
    t.same(outcome, ['stored', 'stored'], 'and writing works again');
    await store.close();
    t.equal((await node.end('SIGTERM')).code, 0);
  });
}
