import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@refill/client';
import type { NodeStatus } from '@refill/interface';
import t from 'tap';
import { type NodePlace, nodePlace, startNodeProcess } from '../fixtures/node-process.ts';
import { fillPayload, keyOfNumber } from '../fixtures/payload.mjs';

t.setTimeout(900_000);

const SERIES = 5;
const BLOCKS = 160;
const MIB = 2 ** 20;
const fingerprint = { name: 'nvme', model: 'none', dtype: 'uint8', layout: 'bytes', tokensPerBlock: 16 };

const argsOf = (place: NodePlace, ...more: string[]): string[] => [
  ...['--arena', '64MiB', '--segment', '64MiB', '--nvme', join(place.base, 'nvme')],
  ...more,
];

const keys = Array.from({ length: BLOCKS }, (_, number) => keyOfNumber(SERIES, number));

const payloadOf = (number: number): Uint8Array => fillPayload(new Uint8Array(MIB), SERIES, number);

async function putAll(place: NodePlace): Promise<void> {
  await using store = await connect({ socketPath: place.socketPath });
  const namespace = await store.namespace(fingerprint);
  for (let i = 0; i < BLOCKS; i += 4) {
    const some = keys.slice(i, i + 4);
    const blocks = some.map((key, j) => ({ key, bytes: payloadOf(i + j) }));
    const outcomes = await namespace.putMany(blocks, { durability: 'shared', deadlineMs: 60_000 });
    if (outcomes.some((outcome) => outcome !== 'stored')) throw new Error(`puts: ${outcomes}`);
    // Used once more than it came, so that it is worth a copy however fast the file system is.
    using views = await namespace.getMany(some);
    if (views.hits !== 4) throw new Error('a block is gone');
  }
}

/** Reads every block and compares every byte; answers how many were not there. */
async function readAll(t: { fail(what: string): unknown }, place: NodePlace): Promise<number> {
  await using store = await connect({ socketPath: place.socketPath });
  const namespace = await store.namespace(fingerprint);
  let misses = 0;
  for (let i = 0; i < BLOCKS; i += 4) {
    using answer = await namespace.getMany(keys.slice(i, i + 4), { deadlineMs: 30_000 });
    for (const [j, view] of answer.views.entries()) {
      if (view === undefined) misses++;
      else if (Buffer.compare(view.bytes, payloadOf(i + j)) !== 0) t.fail(`block ${i + j} has wrong bytes`);
    }
  }
  return misses;
}

async function statusOf(place: NodePlace): Promise<NodeStatus> {
  await using store = await connect({ socketPath: place.socketPath });
  return await store.status();
}

async function until(place: NodePlace, holds: (status: NodeStatus) => boolean): Promise<NodeStatus> {
  for (let tries = 0; ; tries++) {
    const status = await statusOf(place);
    if (holds(status)) return status;
    if (tries === 600) throw new Error(`never: ${JSON.stringify(status.tiers)}`);
    await sleep(100);
  }
}

const isSettled = ({ tiers: { nvme } }: NodeStatus): boolean =>
  nvme?.state === 'open' && nvme.backlogBytes === 0;

t.test('a working set larger than memory is served from the local disk, also after a kill', async (t) => {
  const place = nodePlace(t);
  let node = await startNodeProcess(t, place, { args: argsOf(place) });
  await putAll(place);
  const first = await until(place, isSettled);
  t.ok(first.tiers.nvme!.blocks >= 40, `${first.tiers.nvme!.blocks} of ${BLOCKS} blocks are on the disk`);
  t.equal(await readAll(t, place), 0);
  const second = (await statusOf(place)).tiers;
  // How many is a matter of what either is measured to give.
  t.ok(second.nvme!.hits > 0, `${second.nvme!.hits} from the disk, ${second.shared.hits} from segments`);
  t.match(second.nvme, { corrupt: 0, writeFailures: 0 });
  await until(place, isSettled);

  await node.end('SIGKILL');
  node = await startNodeProcess(t, place, { args: argsOf(place) });
  const started = await until(place, isSettled);
  t.ok(started.tiers.nvme!.blocks >= 40, `${started.tiers.nvme!.blocks} were taken in after the kill`);
  t.equal(await readAll(t, place), 0);
  const third = (await statusOf(place)).tiers;
  t.ok(third.nvme!.hits > 0, `${third.nvme!.hits} from the disk, ${third.shared.hits} from segments`);
  t.match(third.nvme, { corrupt: 0 });

  t.equal((await node.end('SIGTERM')).code, 0);
  node = await startNodeProcess(t, place, { args: argsOf(place) });
  t.ok((await until(place, isSettled)).tiers.nvme!.blocks >= 40, 'and after a stop');
  await node.end('SIGTERM');
});

t.test('write-through copies every put; damage and a lost disk cost no block', async (t) => {
  const place = nodePlace(t);
  const args = argsOf(place, '--nvme-mode', 'write-through', '--nvme-capacity', '512MiB');
  let node = await startNodeProcess(t, place, { args });
  await putAll(place);
  const put = await until(place, isSettled);
  t.ok(put.tiers.nvme!.blocks + put.tiers.nvme!.dropped >= BLOCKS, `${put.tiers.nvme!.blocks} of ${BLOCKS}`);
  t.ok(put.tiers.nvme!.usedBytes <= 512 * MIB);
  await node.end('SIGTERM');

  // A bit in every 64 KiB of every file, headers and footers too.
  for (const path of segmentFiles(place)) {
    const bytes = readFileSync(path);
    for (let at = 40_000; at < bytes.length; at += 65_536) bytes[at]! ^= 4;
    writeFileSync(path, bytes);
  }
  node = await startNodeProcess(t, place, { args });
  await until(place, isSettled);
  t.equal(await readAll(t, place), 0, 'everything is there, from the segments');
  t.ok((await statusOf(place)).tiers.nvme!.corrupt > 0, 'and the damage was met');
  await node.end('SIGKILL');

  rmSync(join(place.base, 'nvme'), { recursive: true });
  node = await startNodeProcess(t, place, { args });
  t.equal((await until(place, isSettled)).tiers.nvme!.blocks, 0);
  t.equal(await readAll(t, place), 0);
  t.match(await node.end('SIGTERM'), { code: 0 });
});

t.test('the disk of another node or cluster, and one that is in use, are refused by name', async (t) => {
  const place = nodePlace(t);
  const other = nodePlace(t);
  const nvme = join(place.base, 'nvme');
  const node = await startNodeProcess(t, place, {
    args: ['--arena', '64MiB', '--node', 'one', '--nvme', nvme],
  });
  const start = (at: NodePlace, name: string, path = nvme) =>
    startNodeProcess(t, at, { args: ['--arena', '64MiB', '--node', name, '--nvme', path] });
  await t.rejects(start(other, 'one'), /ERR_NODE_IDENTITY_TAKEN: nvme is .*, which another process uses/);
  await node.end('SIGTERM');
  await t.rejects(start(other, 'one'), /ERR_CONFIG: nvme is .*, which is of another cluster/);
  await t.rejects(start(place, 'two'), /ERR_CONFIG: nvme is .*, which is of another node, one\. Empty it/);
  const foreign = join(place.base, 'foreign');
  writeFileSync(foreign, 'a file');
  await t.rejects(start(place, 'one', foreign), /ERR_CONFIG: nvme is .*, which cannot be made \(EEXIST\)/);
  await t.rejects(
    start(place, 'one', place.state),
    /ERR_CONFIG: nvme is .*, which has no nvme.json and is not empty/,
  );
  await t.rejects(start(place, 'one', join(place.root, 'nvme')), /ERR_CONFIG: nvme is .*, inside the root/);
  t.ok(existsSync(join(nvme, 'nvme.json')));
  await (await start(place, 'one')).end('SIGTERM');
});

function segmentFiles(place: NodePlace): string[] {
  const folder = join(place.base, 'nvme', 'segments');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}
