import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIoBatch, IO_FLAG, IO_OP, pushIo, setIoCopySource } from '@refill/interface';
import { createBlockIO, createSharedMemory, mapArena, passFd } from '@refill/native-io';
import t from 'tap';
import { native } from '../../packages/native-io/src/native.ts';
import { resultOf } from '../compliance/block-io.ts';

/** What `t.rejects` shall find in the error. */
const failsWith = (errno: number): Error => ({ errno }) as unknown as Error;

const { EFAULT, EINVAL, ELOOP, ENOENT, ERANGE } = constants.errno;
const MIB = 1024 * 1024;
const token = (tag: number): Uint8Array => new Uint8Array(16).fill(tag);
const within = { deadlineMs: 10_000 };
let sockets = 0;
// A Unix socket's path is at most 107 bytes: shorter than the test's own directory may be.
const socketPath = (): string => join(tmpdir(), `refill-test-${process.pid}-${sockets++}.sock`);

for (const engine of ['io_uring', 'threads'] as const) {
  t.test(`${engine}: I/O goes straight to regions, by path and by passed descriptor`, async (t) => {
    const root = t.testdir({});
    const fdSocketPath = socketPath();
    const io = await createBlockIO({ root, arenaBytes: 4 * MIB, engine, fdSocketPath });
    const file = await io.open('data', { create: true, write: true, direct: true, sizeBytes: MIB });
    const path = join(root, 'region');
    writeFileSync(path, new Uint8Array(2 * MIB));
    const byPath = await io.attachRegion({ path }, 2 * MIB);

    const shared = createSharedMemory(2 * MIB);
    t.equal(shared.sizeBytes, 2 * MIB);
    await passFd(fdSocketPath, shared.fd, token(1), within);
    t.equal(io.takePassedFd(token(2)), undefined);
    const fd = io.takePassedFd(token(1))!;
    t.equal(io.takePassedFd(token(1)), undefined, 'a token is good for one taking');
    const byFd = await io.attachRegion({ fd }, 2 * MIB);
    closeSync(fd);

    shared.panes[0]!.fill(0xab, 0, 200_000);
    const batch = createIoBatch(3);
    pushIo(batch, IO_OP.write, 0, file, 0, byFd, 0, 200_000);
    await io.submit(batch, { lane: 'write', ...within });
    batch.count = 0;
    pushIo(batch, IO_OP.read, 0, file, 0, byPath, 8192, 100_000);
    // Scattered over the arena and a region in one request.
    pushIo(batch, IO_OP.read, 0, file, 102_400, 0, 0, 4096);
    pushIo(batch, IO_OP.read, IO_FLAG.adjacent, file, 106_496, byPath, MIB, 4096);
    await io.submit(batch, { lane: 'read', ...within });
    t.strictSame(
      [0, 1, 2].map((index) => resultOf(batch, index)),
      [100_000, 4096, 4096],
    );
    const pane = io.regionPanes(byPath)[0]!;
    t.ok(pane.subarray(8192, 108_192).every((byte) => byte === 0xab));
    t.equal(pane[8191], 0);
    t.ok(pane.subarray(MIB, MIB + 4096).every((byte) => byte === 0xab));
    t.ok(io.panes[0]!.subarray(0, 4096).every((byte) => byte === 0xab));

    io.detachRegion(byPath);
    t.equal(pane.length, 0, 'panes of a detached region are empty');
    batch.count = 0;
    pushIo(batch, IO_OP.read, 0, file, 0, byPath, 0, 4096);
    await io.submit(batch, { lane: 'read', ...within });
    t.equal(resultOf(batch, 0), -EFAULT);
    shared.free();
    await io.stop();
  });

  t.test(`${engine}: copies of every length, aligned or not, bring the bytes of their source`, async (t) => {
    const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 4 * MIB, engine });
    const shared = createSharedMemory(2 * MIB);
    const region = await io.attachRegion({ fd: shared.fd }, 2 * MIB);
    const [source, target] = [shared.panes[0]!, io.panes[0]!];
    for (let i = 0; i < source.length; i++) source[i] = (Math.imul(i, 2654435761) >>> 13) & 255;
    for (const length of [1, 4096, 65_536, 262_143, 262_144, 262_145, 278_528, MIB + 4097])
      for (const [from, to] of [
        [0, 0],
        [4096, 64],
        [1, 0],
        [0, 33],
      ] as const) {
        target.fill(0, 0, 2 * MIB);
        const batch = createIoBatch(1);
        setIoCopySource(batch, pushIo(batch, IO_OP.copy, 0, 0, 0, 0, to, length), region, from);
        await io.submit(batch, { lane: 'read', ...within });
        const copied = Buffer.compare(target.subarray(to, to + length), source.subarray(from, from + length));
        const around = target.subarray(to + length, to + length + 4096).every((byte) => byte === 0);
        if (resultOf(batch, 0) !== length || copied !== 0 || !around || (to > 0 && target[to - 1] !== 0))
          return t.fail(`${length} bytes from ${from} to ${to}`);
      }
    io.detachRegion(region);
    shared.free();
    await io.stop();
    t.pass();
  });

  t.test(`${engine}: a client that shrinks its region under us costs an error, not the node`, async (t) => {
    const root = t.testdir({});
    const io = await createBlockIO({ root, arenaBytes: 4 * MIB, engine });
    const path = join(root, 'region');
    writeFileSync(path, new Uint8Array(MIB));
    const region = await io.attachRegion({ path }, MIB);
    const fd = openSync(path, 'r+');
    ftruncateSync(fd, 0);
    const file = await io.open('data', { create: true, write: true, direct: true, sizeBytes: MIB });
    const batch = createIoBatch(5);
    pushIo(batch, IO_OP.checksum, IO_FLAG.unbound, 0, 0, region, 0, 65_536);
    setIoCopySource(batch, pushIo(batch, IO_OP.copy, 0, 0, 0, 0, 0, 65_536), region, 0);
    pushIo(batch, IO_OP.write, 0, file, 0, region, 0, 65_000);
    pushIo(batch, IO_OP.read, 0, file, 65_536, region, 0, 65_536);
    setIoCopySource(batch, pushIo(batch, IO_OP.copy, 0, 0, 0, 0, 0, 512 * 1024), region, 0);
    await io.submit(batch, { lane: 'write', ...within });
    t.strictSame(
      [0, 1, 2, 3, 4].map((index) => resultOf(batch, index)),
      Array(5).fill(-EFAULT),
    );
    closeSync(fd);
    await io.stop();
  });
}

t.test('what is no shared-memory file of that size is refused', async (t) => {
  const root = t.testdir({});
  const io = await createBlockIO({ root, arenaBytes: MIB });
  writeFileSync(join(root, 'short'), new Uint8Array(4096));
  symlinkSync('short', join(root, 'link'));
  await t.rejects(io.attachRegion({ path: join(root, 'short') }, 8192), failsWith(ERANGE));
  await t.rejects(io.attachRegion({ path: join(root, 'link') }, 4096), failsWith(ELOOP));
  await t.rejects(io.attachRegion({ path: join(root, 'none') }, 4096), failsWith(ENOENT));
  await t.rejects(io.attachRegion({ path: '/dev/null' }, 4096), failsWith(EINVAL));
  await t.rejects(io.attachRegion({ path: join(root, 'short') }, 0), RangeError);
  await io.stop();
});

t.test('clients map the arena that the node reads into', async (t) => {
  const fdSocketPath = socketPath();
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 4 * MIB, fdSocketPath });
  const arena = await mapArena(fdSocketPath, within);
  t.equal(arena.sizeBytes, 4 * MIB);
  io.panes[0]![12_345] = 77;
  t.equal(arena.readPanes[0]![12_345], 77);
  arena.writePanes[0]![54_321] = 78;
  t.equal(io.panes[0]![54_321], 78);
  const view = arena.readPanes[0]!;
  arena.unmap();
  t.equal(view.length, 0);
  t.throws(() => ftruncateSync(io.arenaFd, 0), 'nobody can shrink the arena under the others');

  await t.rejects(passFd(fdSocketPath, io.arenaFd, new Uint8Array(3), within), TypeError);
  await passFd(fdSocketPath, io.arenaFd, token(1), within);
  await t.rejects(passFd(fdSocketPath, io.arenaFd, token(1), within), failsWith(constants.errno.ENOSPC));
  // The first of these and the 63 after it fill what the node keeps.
  for (let i = 2; i <= 64; i++) await passFd(fdSocketPath, io.arenaFd, token(i), within);
  await t.rejects(passFd(fdSocketPath, io.arenaFd, token(65), within), failsWith(constants.errno.ENOSPC));
  await t.rejects(
    createBlockIO({ root: t.testdir({}), arenaBytes: MIB, fdSocketPath }),
    failsWith(constants.errno.EADDRINUSE),
  );
  await io.stop();
  await t.rejects(mapArena(fdSocketPath, within), failsWith(ENOENT));
});

t.test('garbage and silence on the descriptor socket do not keep others from being served', async (t) => {
  const fdSocketPath = socketPath();
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: MIB, fdSocketPath });
  const silent = connect(fdSocketPath);
  const garbage = connect(fdSocketPath);
  garbage.write('XYZ');
  const half = connect(fdSocketPath);
  half.write('P123');
  const withoutFd = connect(fdSocketPath);
  withoutFd.write(`P${'0'.repeat(16)}`);
  const closed = Promise.all(
    [silent, garbage, half, withoutFd].map(
      (socket) =>
        new Promise<void>((resolve) =>
          socket
            .on('error', () => {})
            .on('close', () => resolve())
            .resume(),
        ),
    ),
  );
  (await mapArena(fdSocketPath, within)).unmap();
  await closed;
  (await mapArena(fdSocketPath, within)).unmap();
  await io.stop();
});

t.test('Python speaks the protocol of the descriptor socket', async (t) => {
  if (spawnSync('python3', ['-c', 'import socket; socket.recv_fds']).status !== 0) {
    t.comment('python3 of 3.9 or newer is not here');
    return;
  }
  const fdSocketPath = socketPath();
  const io = await createBlockIO({ root: t.testdir({}), arenaBytes: MIB * 2, fdSocketPath });
  io.panes[0]!.set(Buffer.from('from the node'), 4096);
  const script = `
import mmap, os, socket, sys
def ask(): s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); return s
s = ask(); s.send(b'A'); reply, fds, _, _ = socket.recv_fds(s, 1, 1); assert reply == b'A'
m = mmap.mmap(fds[0], os.fstat(fds[0]).st_size); assert m[4096:4109] == b'from the node'
m[8192:8203] = b'from python'
s = ask(); socket.send_fds(s, [b'P' + b'T' * 16], [fds[0]]); assert s.recv(1) == b'P'
`;
  const { status, stderr } = spawnSync('python3', ['-c', script, fdSocketPath]);
  t.equal(status, 0, stderr.toString());
  t.equal(io.panes[0]!.subarray(8192, 8203).toString(), Buffer.from('from python').join());
  const fd = io.takePassedFd(token('T'.charCodeAt(0)));
  t.ok(fd !== undefined);
  closeSync(fd!);
  await io.stop();
});

t.test('the arena has the pages that its report says', async (t) => {
  for (const pages of ['none', 'collapse'] as const) {
    const io = await createBlockIO({ root: t.testdir({}), arenaBytes: 4 * MIB, arenaPagesUpTo: pages });
    const { arenaPageBytes, arenaPagesBy, arenaBytes } = io.report;
    t.equal(arenaPageBytes, arenaPagesBy === 'none' ? 4096 : 2 * MIB);
    t.equal(arenaBytes, 4 * MIB);
    await io.stop();
  }
});

t.test('shared memory is closed and unmapped when freed', async (t) => {
  const before = native.openHandles();
  const shared = createSharedMemory(1);
  t.equal(shared.sizeBytes, 2 * MIB);
  const view = shared.panes[0]!;
  // Read, not written, through the descriptor: where the machine keeps a pool of huge pages the memory is of those,
  // and hugetlbfs takes no write(2).
  view[5] = 120;
  const seen = new Uint8Array(1);
  t.equal(readSync(shared.fd, seen, 0, 1, 5), 1);
  t.equal(seen[0], 120);
  shared.free();
  t.equal(view.length, 0);
  t.strictSame(native.openHandles(), before);
  t.throws(() => createSharedMemory(0), RangeError);
});
