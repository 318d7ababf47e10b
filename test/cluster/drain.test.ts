import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ClusterProcesses, type Member } from '../fixtures/cluster-processes.ts';
import { nodePlace, runRefill, startNodeProcess } from '../fixtures/node-process.ts';
import { fillPayload, keyOfNumber } from '../fixtures/payload.mjs';
import { openStored } from '../fixtures/stored-blocks.ts';

t.setTimeout(900_000);

/** Starting many processes takes long where others start some too. */
const PATIENT = { readyMs: 240_000, timeoutMs: 240_000 };

const WAIT = { deadlineMs: 60_000 };
const BYTES = 128 * 1024;
const NUMBERS = Array.from({ length: 40 }, (_, i) => i);
const KEYS = NUMBERS.map((number) => keyOfNumber(1, number));

/** Whether these are all the bytes that were put under a number. */
function isPayload(bytes: Uint8Array, number: number): boolean {
  return Buffer.compare(bytes, fillPayload(new Uint8Array(BYTES), 1, number)) === 0;
}

async function opened(t: Test, member: Member): ReturnType<typeof openStored> {
  const connection = await openStored(member.socketPath);
  t.teardown(() => connection.store.close().catch(() => undefined));
  return connection;
}

const blocks = () =>
  NUMBERS.map((number) => ({ key: KEYS[number]!, bytes: fillPayload(new Uint8Array(BYTES), 1, number) }));

t.test('a node leaves a cluster, its hot blocks stay in memory', async (t) => {
  const cluster = new ClusterProcesses(t);
  await cluster.metadata(PATIENT);
  const members = await Promise.all([cluster.node('a', PATIENT), cluster.node('b', PATIENT)]);
  const [a, b] = [await opened(t, members[0]!), await opened(t, members[1]!)];
  for (let i = 0; i < 600 && (await a.store.status()).cluster?.members.length !== 2; i++) await pause(100);
  // Of durability memory: what is not stored yet when it leaves must not be lost either.
  t.same([...new Set(await a.namespace.putMany(blocks(), WAIT))], ['stored']);
  const flags = ['--socket', members[0]!.socketPath, '--root', `${cluster.base}/root`];

  await t.test('first it may stay and answer reads', async (t) => {
    const hot = ['--hot-bytes', `${10 * BYTES}`];
    const { code, stdout, stderr } = await runRefill(
      ['drain', ...flags, ...hot, '--stay', '--json'],
      PATIENT,
    );
    t.equal(code, 0, stderr);
    t.match(JSON.parse(stdout), {
      ...{ node: 'a', phase: 'done', isComplete: true, backlogBytes: 0, unstoredBlocks: 0 },
      ...{ hotBlocks: 10, heldBlocks: 10, refusedBlocks: 0, holders: [{ node: 'b', blocks: 10 }] },
    });
    await t.rejects(a.namespace.put({ key: keyOfNumber(2, 1) }, new Uint8Array(10)), {
      code: 'ERR_NODE_DRAINING',
      message: /node a is leaving.*Put on another node: b/,
    });
    using views = await a.namespace.getMany(KEYS, WAIT);
    t.equal(views.hits, KEYS.length);
    const held = (await b.namespace.lookup(KEYS)).filter(({ tier }) => tier === 'dram');
    t.equal(held.length, 10);
    let state = '';
    for (let i = 0; i < 600 && state !== 'draining'; i++) {
      await pause(100);
      const { cluster: seen } = await b.store.status();
      state = seen?.members.find(({ node }) => node === 'a')?.state ?? 'gone';
    }
    t.equal(state, 'draining', 'the others know');
  });

  await t.test('then it ends, and gives its lease back', async (t) => {
    const { code, stdout, stderr } = await runRefill(['drain', ...flags], PATIENT);
    t.equal(code, 0, stderr);
    t.match(stdout, /node a is drained and ends now; 40 of 40 hot blocks .* are held by others: 40 by b/);
    const ended = await members[0]!.end('SIGCONT');
    t.equal(ended.code, 0, members[0]!.output());
    for (let i = 0; i < 600 && (await b.store.status()).cluster?.members.length !== 1; i++) await pause(100);
    t.match((await b.store.status()).cluster?.members, [{ node: 'b' }]);
    using views = await b.namespace.getMany(KEYS, WAIT);
    for (const number of NUMBERS) t.ok(isPayload(views.views[number]!.bytes, number));
    const { tiers } = await b.store.status();
    t.match(tiers, { shared: { hits: 0 } }, 'every one of them out of memory');
  });

  await t.test('nobody is left to be drained', async (t) => {
    const { code, stderr } = await runRefill(['drain', ...flags], PATIENT);
    t.equal(code, 3);
    t.match(stderr, /no node answers/);
  });
});

t.test('a node alone stores what it has and ends', async (t) => {
  const place = nodePlace(t);
  const node = await startNodeProcess(t, place);
  const { store, namespace } = await openStored(place.socketPath);
  t.same([...new Set(await namespace.putMany(blocks(), WAIT))], ['stored']);
  await store.close();
  const { code, stdout } = await runRefill(
    ['drain', '--root', place.root, '--socket', place.socketPath],
    PATIENT,
  );
  t.equal(code, 0);
  t.match(stdout, /node .* is drained and ends now/);
  t.equal((await node.end('SIGCONT')).code, 0, node.stderr());
  const again = await startNodeProcess(t, place);
  const after = await openStored(place.socketPath);
  t.equal(await after.namespace.matchPrefix(KEYS), KEYS.length);
  await after.store.close();
  await again.end('SIGTERM');
});
