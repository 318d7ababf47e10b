import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { RECEIVE_STATUS } from '@refill/interface';
import { createBlockIO, createPeerTransport } from '@refill/native-io';
import t from 'tap';
import { offerRows, type PeerBlock, receiveRows, statuses } from '../compliance/peer-transport.ts';

const MIB = 1024 * 1024;
const busy = fileURLToPath(new URL('../fixtures/peer-busy.mjs', import.meta.url));
const env = { ...process.env, NODE_OPTIONS: '' };
const block: PeerBlock = { tag: 1, from: 0, lengthBytes: 100_000, to: MIB };

/** Sockets and event files of this process. */
function descriptors(): number {
  let count = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (/^(socket|anon_inode):/.test(readlinkSync(`/proc/self/fd/${fd}`))) count++;
    } catch {
      // It was the listing's own.
    }
  }
  return count;
}

function threads(): number {
  return readdirSync('/proc/self/task').length;
}

async function until(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 500 && !holds(); i++) await delay(10);
  return holds();
}

for (const way of ['exit', 'throw', 'stop', 'engine first']) {
  t.test(`a process that ends by ${way} while busy ends cleanly`, async (t) => {
    const { status, signal, stderr } = spawnSync(process.execPath, [busy, t.testdir({}), way], {
      env,
      timeout: 60_000,
    });
    t.equal(signal, null, stderr.toString());
    t.equal(status, way === 'throw' ? 1 : 0, stderr.toString());
  });
}

t.test('worker threads have transports of their own, and may end at any time', async (t) => {
  const root = t.testdir({});
  const before = threads();
  for (const [index, after] of [0, 50, 200, 400].entries()) {
    const workerData = join(root, String(index));
    mkdirSync(workerData);
    const worker = new Worker(busy, { workerData, execArgv: [], env });
    const exited = once(worker, 'exit');
    if (after === 400) t.strictSame(await once(worker, 'message'), [RECEIVE_STATUS.done]);
    await delay(after);
    await worker.terminate();
    await exited;
  }
  t.ok(await until(() => threads() <= before + 8), 'their threads end with them');
});

t.test('starting and stopping leaves no socket, thread or pin', async (t) => {
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 4 * MIB, lanes: { read: 1, write: 1 } });
  const before = { descriptors: descriptors(), threads: threads() };
  for (let turn = 0; turn < 5; turn++) {
    const transport = createPeerTransport({ io, host: '127.0.0.1' });
    await transport.start();
    let released = 0;
    const { ticket } = transport.offer(offerRows([block]), 1, 60_000, () => released++);
    const rows = receiveRows([block]);
    await transport.receive(transport.address, ticket, rows, 1, 5_000);
    t.strictSame(statuses(rows), [RECEIVE_STATUS.done], 'a transport may read from itself');
    await transport.stop();
    t.equal(released, 1);
    t.equal(transport.counters.blocksSent, 1, 'counters stay');
  }
  t.ok(await until(() => descriptors() <= before.descriptors && threads() <= before.threads));
  await io.stop();
});

t.test('rows and callbacks that nobody else holds live until they are settled', async (t) => {
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 4 * MIB, lanes: { read: 1, write: 1 } });
  const transport = createPeerTransport({ io, host: '127.0.0.1' });
  await transport.start();
  let released = 0;
  for (let i = 0; i < 500; i++) {
    const { ticket, end } = transport.offer(offerRows([block]), 1, 60_000, () => released++);
    void transport.receive(transport.address, ticket, receiveRows([block]), 1, 5_000).then(end);
    if (i % 100 === 99) {
      // Garbage enough for a collection or two.
      for (let turn = 0; turn < 20; turn++) new Uint8Array(MIB).fill(1);
      await delay(1);
    }
  }
  t.ok(await until(() => released === 500));
  await transport.stop();
  await io.stop();
});

t.test('where it cannot listen it says so', async (t) => {
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 2 * MIB, lanes: { read: 1, write: 1 } });
  const first = createPeerTransport({ io, host: '127.0.0.1', advertisedHost: '10.1.2.3' });
  await first.start();
  const port = Number(first.address.split(':')[1]);
  t.match(first.address, /^10\.1\.2\.3:\d+$/);
  t.not(first.congestion, '');
  for (const options of [
    { host: '127.0.0.1', port },
    { host: 'localhost' },
    { host: '127.0.0.1', congestion: 'none-of-these' },
  ]) {
    const transport = createPeerTransport({ io, ...options });
    await t.rejects(transport.start(), { code: 'ERR_CONFIG' } as unknown as Error);
    await transport.stop();
  }
  const v6 = createPeerTransport({ io, host: '::1' });
  await v6.start();
  const { ticket } = first.offer(offerRows([block]), 1, 5_000, () => {});
  const own = v6.offer(offerRows([block]), 1, 5_000, () => {});
  const rows = receiveRows([block]);
  await v6.receive(v6.address, own.ticket, rows, 1, 5_000);
  t.strictSame(statuses(rows), [RECEIVE_STATUS.done], v6.address);
  await v6.receive(`127.0.0.1:${port}`, ticket, rows, 1, 5_000);
  t.strictSame(statuses(rows), [RECEIVE_STATUS.done]);
  await Promise.all([first.stop(), v6.stop()]);
  await io.stop();
});
