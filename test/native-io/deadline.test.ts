import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants as fsConstants, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createIoBatch, IO_OP, pushIo } from '@refill/interface';
import { createBlockIO } from '@refill/native-io';
import t from 'tap';
import { resultOf } from '../compliance/block-io.ts';
import { compile } from '../fixtures/compile.ts';

const { ETIMEDOUT } = constants.errno;
const MIB = 1024 * 1024;
const PAYLOAD = 100_000;

interface Mount {
  point: string;
  /** Reads and writes of files named `slow` hang from now on. */
  stall(): void;
  resume(): void;
}

const directory = t.testdir({});
const program = mountable()
  ? compile(new URL('../fixtures/stall-fs.cc', import.meta.url), directory, fuseFlags())
  : undefined;
const skip = program === undefined ? 'needs /dev/fuse and libfuse3 with its headers' : false;

function mountable(): boolean {
  try {
    accessSync('/dev/fuse', fsConstants.R_OK | fsConstants.W_OK);
    return spawnSync('pkg-config', ['--exists', 'fuse3']).status === 0;
  } catch {
    return false;
  }
}

function fuseFlags(): string[] {
  const { stdout } = spawnSync('pkg-config', ['--cflags', '--libs', 'fuse3']);
  return stdout.toString().trim().split(/\s+/);
}

async function mount(name: string, body: (mount: Mount) => Promise<void>): Promise<void> {
  const behind = join(directory, `${name}-behind`);
  const point = join(directory, `${name}-mount`);
  mkdirSync(behind);
  mkdirSync(point);
  const marker = join(behind, 'stall');
  const child: ChildProcess = spawn(program!, [behind, point], { stdio: 'inherit' });
  const before = statSync(directory).dev;
  for (let i = 0; statSync(point).dev === before; i++) {
    if (i === 500) throw new Error('the mount did not appear');
    await delay(10);
  }
  try {
    await body({
      point,
      stall: () => writeFileSync(marker, ''),
      resume: () => rmSync(marker, { force: true }),
    });
  } finally {
    rmSync(marker, { force: true });
    // Lazily: what was left behind still has files open.
    spawnSync('fusermount3', ['-uz', point]);
    const exited = once(child, 'exit');
    if (child.exitCode === null && child.kill('SIGKILL')) await exited;
  }
}

for (const engine of ['io_uring', 'threads'] as const) {
  t.test(
    `${engine}: what hangs is timed out and quarantined while other I/O goes on`,
    { skip },
    async (t) => {
      await mount(engine, async ({ point, stall, resume }) => {
        const io = await createBlockIO({ root: point, arenaBytes: 8 * MIB, engine });
        const released: [number, number, number][] = [];
        io.onRelease = (buffer, offset, length) => released.push([buffer, offset, length]);
        const open = { create: true, write: true, direct: true, sizeBytes: MIB } as const;
        const slow = await io.open('slow', open);
        const quick = await io.open('quick', open);
        stall();
        const hung = createIoBatch(4);
        pushIo(hung, IO_OP.write, 0, slow, 0, 0, 0, PAYLOAD);
        pushIo(hung, IO_OP.write, 0, quick, 0, 0, MIB, PAYLOAD);
        pushIo(hung, IO_OP.sync, 0, slow, 0, 0, 0, 0);
        await io.submit(hung, { lane: 'write', deadlineMs: 300 });
        t.strictSame(
          [0, 1, 2].map((index) => resultOf(hung, index)),
          [-ETIMEDOUT, PAYLOAD, -ETIMEDOUT],
        );
        t.match(io.counters, { timeouts: 2, quarantined: 1 });

        for (let i = 0; i < 8; i++) {
          const other = createIoBatch(1);
          pushIo(other, IO_OP.read, 0, quick, 0, 0, 2 * MIB, PAYLOAD);
          await io.submit(other, { lane: i % 2 === 0 ? 'read' : 'write', deadlineMs: 20_000 });
          t.equal(resultOf(other, 0), PAYLOAD);
        }
        // More hanging batches than there are workers or rings.
        const more = Array.from({ length: 6 }, (_, index) => {
          const batch = createIoBatch(1);
          pushIo(batch, IO_OP.read, 0, slow, 0, 0, (3 + index / 2) * MIB, PAYLOAD);
          return batch;
        });
        await Promise.all(more.map((batch) => io.submit(batch, { lane: 'read', deadlineMs: 200 })));
        t.ok(more.every((batch) => resultOf(batch, 0) === -ETIMEDOUT));
        await delay(100);
        t.notOk(
          released.some(([, offset]) => offset === 0),
          'no buffer is released that the kernel still has',
        );

        await t.rejects(io.open('slow-new', { ...open, deadlineMs: 200 }), {
          code: 'ERR_DEADLINE',
          errno: ETIMEDOUT,
        });
        t.ok(await io.stat('quick'), 'other calls go on');

        resume();
        for (let i = 0; released.length < 7 && i < 500; i++) await delay(10);
        t.equal(io.counters.quarantined, 0);
        const offsets = released.map(([, offset]) => offset).sort((a, b) => a - b);
        t.strictSame(offsets, [0, ...Array.from({ length: 6 }, (_, index) => (3 + index / 2) * MIB)]);
        t.ok(released.every(([buffer, , length]) => buffer === 0 && length === PAYLOAD));
        t.equal(resultOf(hung, 0), -ETIMEDOUT, 'a late answer does not touch the batch');

        const again = createIoBatch(1);
        pushIo(again, IO_OP.read, 0, slow, 0, 0, 0, PAYLOAD);
        await io.submit(again, { lane: 'read', deadlineMs: 20_000 });
        t.equal(resultOf(again, 0), PAYLOAD, 'the file works again');
        await io.stop();
      });
    },
  );

  t.test(`${engine}: stop does not wait for what hangs`, { skip }, async (t) => {
    await mount(`${engine}-stop`, async ({ point, stall, resume }) => {
      const io = await createBlockIO({ root: point, arenaBytes: 4 * MIB, engine });
      const slow = await io.open('slow', { create: true, write: true, direct: true, sizeBytes: MIB });
      stall();
      const hung = createIoBatch(1);
      pushIo(hung, IO_OP.read, 0, slow, 0, 0, 0, PAYLOAD);
      await io.submit(hung, { lane: 'read', deadlineMs: 100 });
      t.equal(resultOf(hung, 0), -ETIMEDOUT);
      await io.stop();
      t.equal(io.counters.quarantined, 1, 'the last count says what was left behind');
      resume();
    });
  });
}

t.test('an aborted call is given up at once', async (t) => {
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: MIB });
  const aborted = AbortSignal.abort();
  await t.rejects(io.open('x', { create: true, signal: aborted }), { code: 'ERR_ABORTED' });
  const controller = new AbortController();
  const listing = io.list('.', { signal: controller.signal });
  controller.abort();
  await t.rejects(listing, { code: 'ERR_ABORTED' });
  await io.stop();
});
