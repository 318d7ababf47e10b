import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { createIoBatch, IO_OP, pushIo } from '@refill/interface';
import { createBlockIO } from '@refill/native-io';
import t from 'tap';
import { native } from '../../packages/native-io/src/native.ts';

const MIB = 1024 * 1024;
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const { NODE_OPTIONS: _, ...env } = process.env;

/** Descriptors of rings, of shared memory and below a directory. */
function descriptors(root: string): string[] {
  const targets: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      targets.push(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {}
  }
  return targets.filter((target) => /io_uring|memfd:refill/.test(target) || target.startsWith(root));
}

async function until(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 500 && !holds(); i++) await delay(10);
  return holds();
}

for (const engine of ['io_uring', 'threads'] as const) {
  for (const way of ['exit', 'throw', 'stop']) {
    t.test(`${engine}: a process that ends by ${way} while busy ends cleanly`, async (t) => {
      const arguments_ = [fixture('busy-exit.mjs'), t.testdir({}), way, engine];
      const { status, signal, stderr } = spawnSync(process.execPath, arguments_, { env, timeout: 60_000 });
      t.equal(signal, null, stderr.toString());
      t.equal(status, way === 'throw' ? 1 : 0, stderr.toString());
    });
  }

  t.test(`${engine}: starting and stopping leaves no descriptor, mapping or handle`, async (t) => {
    const root = t.testdir({});
    const handles = native.openHandles();
    const before = descriptors(root).length;
    for (let turn = 0; turn < 4; turn++) {
      const io = await createBlockIO({ root, arenaBytes: 2 * MIB, engine, lanes: { read: 1, write: 1 } });
      const files = [];
      for (let i = 0; i < 8; i++) {
        files.push(
          await io.open(`${turn}-${i}`, { create: true, write: true, direct: true, sizeBytes: 65_536 }),
        );
      }
      const batch = createIoBatch(8);
      for (const file of files) pushIo(batch, IO_OP.write, 0, file, 0, 0, 0, 65_536);
      await io.submit(batch, { lane: 'write', deadlineMs: 20_000 });
      for (const file of files.slice(4)) io.close(file);
      t.equal(await io.lock('lock'), true, 'the lock of the engine before is gone');
      await io.stop();
      t.ok(await until(() => descriptors(root).length <= before), descriptors(root).join(', '));
    }
    t.strictSame(native.openHandles(), handles);
  });
}

t.test(
  'the space of a file that was removed and closed comes back though rings had it registered',
  async (t) => {
    const root = t.testdir({});
    const io = await createBlockIO({ root, arenaBytes: 2 * MIB });
    const file = await io.open('gone', { create: true, write: true, direct: true, sizeBytes: MIB });
    for (const lane of ['read', 'write'] as const) {
      const batch = createIoBatch(1);
      pushIo(batch, IO_OP.write, 0, file, 0, 0, 0, MIB);
      await io.submit(batch, { lane, deadlineMs: 20_000 });
    }
    const { freeBytes } = await io.statfs();
    rmSync(join(root, 'gone'));
    io.close(file);
    t.ok(await until(() => !descriptors(root).some((target) => target.includes('gone'))));
    t.ok(freeBytes > 0);
    await io.stop();
  },
);

t.test('worker threads have engines of their own, and may end at any time', async (t) => {
  const root = t.testdir({});
  const run = (index: number): Worker => {
    const workerData = join(root, String(index));
    mkdirSync(workerData);
    return new Worker(fixture('io-in-worker.mjs'), { workerData, execArgv: [], env });
  };
  const [result] = await once(run(0), 'message');
  t.equal(result, 65_536);
  for (const [index, after] of [0, 50, 150, 300].entries()) {
    const worker = run(index + 1);
    const exited = once(worker, 'exit');
    await delay(after);
    await worker.terminate();
    t.strictSame((await exited).length, 1);
  }
  t.equal(native.checksum(Buffer.from('123456789'), -1), 0xae8b14860a799888n, 'the addon is still there');
});

t.test('panes outlive the engine only as empty views', async (t) => {
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 2 * MIB });
  const pane = io.panes[0]!;
  t.equal(pane.length, 2 * MIB);
  await io.stop();
  t.equal(pane.length, 0);
});
