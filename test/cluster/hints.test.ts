import { setTimeout as pause } from 'node:timers/promises';
import type { BlockNamespace, PutOptions } from '@refill/interface';
import t, { type Test } from 'tap';
import { ClusterProcesses, type Member } from '../fixtures/cluster-processes.ts';
import { runRefill } from '../fixtures/node-process.ts';
import { fillPayload, keyOfNumber } from '../fixtures/payload.mjs';
import { openStored } from '../fixtures/stored-blocks.ts';

t.setTimeout(900_000);

/** Starting many processes takes long where others start some too. */
const PATIENT = { readyMs: 240_000, timeoutMs: 240_000 };

const BYTES = 256 * 1024;

/** Whether these are all the bytes that were put under a number. */
function isPayload(bytes: Uint8Array, number: number): boolean {
  return Buffer.compare(bytes, fillPayload(new Uint8Array(BYTES), 1, number)) === 0;
}

async function opened(t: Test, member: Member): ReturnType<typeof openStored> {
  const connection = await openStored(member.socketPath);
  t.teardown(() => connection.store.close().catch(() => undefined));
  return connection;
}

const numbersFrom = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + i);

async function put(namespace: BlockNamespace, numbers: number[], options: PutOptions): Promise<void> {
  const blocks = numbers.map((number) => ({
    key: keyOfNumber(1, number),
    bytes: fillPayload(new Uint8Array(BYTES), 1, number),
  }));
  const outcomes = await namespace.putMany(blocks, { deadlineMs: 60_000, ...options });
  t.same([...new Set(outcomes)], ['stored']);
}

/** How many of the blocks are in the DRAM of a node, when they have come there or after a while. */
async function inDram(namespace: BlockNamespace, numbers: number[], wanted: number): Promise<number> {
  const keys = numbers.map((number) => keyOfNumber(1, number));
  let found = -1;
  for (let i = 0; i < 600 && found !== wanted; i++) {
    if (i > 0) await pause(100);
    found = (await namespace.lookup(keys)).filter(({ tier }) => tier === 'dram').length;
  }
  return found;
}

t.test('hints of puts in a cluster of processes', async (t) => {
  const cluster = new ClusterProcesses(t);
  await cluster.metadata(PATIENT);
  const members = await Promise.all(['a', 'b', 'c'].map((name) => cluster.node(name, PATIENT)));
  const [a, b, c] = [
    await opened(t, members[0]!),
    await opened(t, members[1]!),
    await opened(t, members[2]!),
  ];
  // Members hear of one another with their heartbeats.
  for (let i = 0; i < 600 && (await a.store.status()).cluster?.members.length !== 3; i++) await pause(100);

  await t.test('a preferred node has the blocks in its memory, byte for byte', async (t) => {
    const numbers = numbersFrom(0, 20);
    await put(a.namespace, numbers, { node: 'b', durability: 'shared' });
    t.equal(await inDram(b.namespace, numbers, 20), 20);
    t.equal(await inDram(c.namespace, numbers, 0), 0);
    using views = await b.namespace.getMany(
      numbers.map((number) => keyOfNumber(1, number)),
      { deadlineMs: 60_000 },
    );
    for (const number of numbers) t.ok(isPayload(views.views[number]!.bytes, number));
    const { hints, tiers } = await b.store.status();
    t.match(hints, { holdsAsked: 20, held: 20 });
    t.equal(tiers.dram.hits, 20);
  });

  await t.test('replicas are in the memory of as many nodes, written behind too', async (t) => {
    const numbers = numbersFrom(100, 10);
    await put(c.namespace, numbers, { replicas: 3 });
    t.equal(await inDram(a.namespace, numbers, 10), 10);
    t.equal(await inDram(b.namespace, numbers, 10), 10);
    t.match((await c.store.status()).hints, { offered: 20, placed: 20, unplaced: 0 });
  });

  await t.test('a node that is not there costs nothing', async (t) => {
    await put(a.namespace, numbersFrom(200, 5), { node: 'nobody', durability: 'shared' });
    t.match((await a.store.status()).hints, { unplaced: 5 });
  });

  await t.test('a life ends on all nodes', async (t) => {
    const numbers = numbersFrom(300, 4);
    const keys = numbers.map((number) => keyOfNumber(1, number));
    await put(a.namespace, numbers, { ttlMs: 15_000, node: 'b', durability: 'shared' });
    t.equal(await b.namespace.matchPrefix(keys), 4);
    let left = 4;
    for (let i = 0; i < 1200 && left > 0; i++) {
      await pause(100);
      left = 0;
      for (const { namespace } of [a, b, c]) left += (await namespace.exists(keys)).filter(Boolean).length;
    }
    t.equal(left, 0);
  });

  await t.test('the command line gives them', async (t) => {
    const { socketPath } = members[0]!;
    const flags = ['--socket', socketPath, '--root', `${cluster.base}/root`];
    const hints = ['--ttl', '1h', '--replicas', '2', '--node', 'c', '--tier', 'shared', '--pin'];
    const { code, stdout, stderr } = await runRefill(['put', 'hinted', '-', ...flags, ...hints], {
      ...PATIENT,
      input: 'x',
    });
    t.match({ code, stdout }, { code: 0, stdout: 'stored\n' }, stderr);
    const { hints: counted } = await a.store.status();
    t.match(counted, { pinned: 1, withLife: 1 });
    for (const [wrong, message] of [
      [['--ttl', 'soon'], /--ttl <time>.*Give a time such as 500ms/],
      [['--replicas', '17'], /Give a whole number from 1 to 16/],
      [['--tier', 'tape'], /Allowed choices are dram, nvme, shared/],
      [['--tier', 'dram'], /tier is 'dram'.*durability is 'shared'/],
    ] as const) {
      const ended = await runRefill(['put', 'wrong', '-', ...flags, ...wrong], { ...PATIENT, input: 'x' });
      t.match(ended.stderr, message);
      t.not(ended.code, 0);
    }
  });
});
