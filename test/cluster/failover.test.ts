import t from 'tap';
import { ClusterProcesses } from '../fixtures/cluster-processes.ts';
import { keyOfNumber } from '../fixtures/payload.mjs';
import { ReadLoad } from '../fixtures/read-load.ts';
import { openStored, StoredBlocks } from '../fixtures/stored-blocks.ts';

t.setTimeout(300_000);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Long enough for heartbeats to fail and for requests to be refused at once. */
const AWAY_MS = 4000;
/** Far above every deadline used here. */
const BOUND_MS = 60_000;

t.test('under read load the metadata service dies, stands still and comes back', async (t) => {
  const cluster = new ClusterProcesses(t);
  let service = await cluster.metadata();
  const [a, b] = [await cluster.node('a'), await cluster.node('b')];
  const [atA, atB] = [await openStored(a.socketPath), await openStored(b.socketPath)];
  t.teardown(() => Promise.all([atA, atB].map(({ store }) => store.close().catch(() => undefined))));
  const stored = new StoredBlocks(1);
  t.same([...new Set(await stored.put(atA.namespace, 40))], ['stored']);
  // What b has read once it finds again without the service.
  for (const { namespace } of [atA, atB]) t.same((await stored.check(namespace)).wrong, []);
  const numbers = [...stored.acknowledged];
  const loads = [atA, atB].map(({ namespace }) => new ReadLoad(namespace, 1, numbers));
  t.teardown(() => Promise.all(loads.map((load) => load.stop())));
  const phases = (what: string): void => {
    for (const [i, load] of loads.entries()) {
      const { reads, hits, wrong } = load.take();
      t.same(wrong, [], `${what}: no read of ${i === 0 ? 'a' : 'b'} failed`);
      t.ok(reads > 0 && hits === reads * 4, `${what}: ${hits} hits in ${reads} reads`);
    }
  };
  const storesAgain = async (series: number): Promise<void> => {
    const late = new StoredBlocks(series);
    const endsAtMs = performance.now() + BOUND_MS;
    while (late.acknowledged.size === 0 && performance.now() < endsAtMs) {
      await late.put(atA.namespace, 1, 3000).catch(() => pause(200));
    }
    t.ok(late.acknowledged.size > 0, 'writes go on when it is back');
    // The other node asks again by itself, a quarter of a second after it was refused at the latest.
    const serves = async (): Promise<boolean> => (await atB.store.status()).cluster?.service === 'serving';
    while (!(await serves()) && performance.now() < endsAtMs) await pause(50);
    t.ok(await serves(), 'the other node sees it back');
    const [number] = late.acknowledged;
    using answer = await atB.namespace.getMany([keyOfNumber(series, number!)], { deadlineMs: 20_000 });
    t.equal(answer.hits, 1, 'and the other node finds what was written');
  };

  await t.test('it is killed and started again', async () => {
    await service.end('SIGKILL');
    loads.map((load) => load.take());
    await pause(AWAY_MS);
    phases('away');
    t.equal((await atB.store.status()).cluster?.service, 'away');
    service = await cluster.metadata();
    await storesAgain(2);
    phases('back');
  });

  await t.test('it stands still and goes on', async () => {
    service.child.kill('SIGSTOP');
    loads.map((load) => load.take());
    await pause(AWAY_MS);
    phases('still');
    using unknown = await atB.namespace.getMany([keyOfNumber(99, 0)], { deadlineMs: 2000 });
    t.equal(unknown.hits, 0, 'what nobody knows is a miss, in time');
    service.child.kill('SIGCONT');
    await storesAgain(3);
    phases('going on');
  });

  await Promise.all(loads.map((load) => load.stop()));
  for (const member of [b, a, service]) t.match(await member.end('SIGTERM'), { code: 0 }, member.output());
});
