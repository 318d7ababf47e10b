import { constants } from 'node:os';
import type { BlockIO, IoBatch } from '@refill/interface';
import {
  createIoBatch,
  IO_FLAG,
  IO_OP,
  IO_PENDING,
  IO_WORDS,
  pushIo,
  setIoCopySource,
  setIoKey,
} from '@refill/interface';
import type { Test } from 'tap';
import { seededRandom } from '../fixtures/seeded-random.ts';

/** What `t.rejects` shall find in the error. */
const failsWith = (errno: number) => ({ errno }) as unknown as Error;

const { EBADF, EBADMSG, ECANCELED, EEXIST, EFAULT, EFBIG, EINVAL, EIO, ENOENT, EXDEV } = constants.errno;
const MIB = 1024 * 1024;
/** The factory's arena is at least this long. */
export const COMPLIANCE_ARENA_BYTES: number = 16 * MIB;

/** Makes a fresh engine on an empty root. The suite stops it. */
export type BlockIOFactory = (t: Test) => Promise<BlockIO>;

export function resultOf(batch: IoBatch, index: number): number {
  return batch.words[index * IO_WORDS + 9]!;
}

export function checksumOf(batch: IoBatch, index: number): [number, number] {
  const at = index * IO_WORDS + 10;
  return [batch.uwords[at]!, batch.uwords[at + 1]!];
}

function results(batch: IoBatch): number[] {
  return Array.from({ length: batch.count }, (_, index) => resultOf(batch, index));
}

function fill(view: Uint8Array, seed: number): void {
  let value = seed | 1;
  for (let i = 0; i < view.length; i++) {
    value = (Math.imul(value, 1664525) + 1013904223) >>> 0;
    view[i] = value >>> 24;
  }
}

const identity = (tag: number): Uint8Array => new Uint8Array(40).fill(tag);
const key = (tag: number): Uint32Array => new Uint32Array(8).fill(tag);
const reading = { lane: 'read', deadlineMs: 20_000 } as const;
const writing = { lane: 'write', deadlineMs: 20_000 } as const;

/** What every `BlockIO` does, whatever is behind it. */
export function blockIOCompliance(t: Test, create: BlockIOFactory): void {
  const withIO = (name: string, body: (t: Test, io: BlockIO) => Promise<void>): void => {
    t.test(name, async (t) => {
      const io = await create(t);
      try {
        await body(t, io);
      } finally {
        await io.stop();
      }
    });
  };

  for (const direct of [true, false]) {
    const mode = direct ? 'a direct file' : 'a buffered file';

    withIO(`${mode} gives back what was written, verified against its identity`, async (t, io) => {
      const file = await io.open('one', {
        create: true,
        write: true,
        direct,
        sizeBytes: 4 * MIB,
        identity: identity(7),
      });
      const pane = io.panes[0]!;
      fill(pane.subarray(0, 100_000), 1);
      const batch = createIoBatch(4);
      const write = pushIo(batch, IO_OP.write, IO_FLAG.checksum, file, 8192, 0, 0, 100_000);
      setIoKey(batch, write, key(5), 0);
      pushIo(batch, IO_OP.sync, 0, file, 0, 0, 0, 0);
      await io.submit(batch, writing);
      t.strictSame(results(batch), [100_000, 0]);
      const [low, high] = checksumOf(batch, write);

      const again = createIoBatch(4);
      const right = pushIo(again, IO_OP.read, IO_FLAG.verify, file, 8192, 0, MIB, 100_000, low, high);
      setIoKey(again, right, key(5), 0);
      const otherKey = pushIo(again, IO_OP.read, IO_FLAG.verify, file, 8192, 0, 2 * MIB, 100_000, low, high);
      setIoKey(again, otherKey, key(6), 0);
      const shorter = pushIo(again, IO_OP.read, IO_FLAG.verify, file, 8192, 0, 3 * MIB, 99_999, low, high);
      setIoKey(again, shorter, key(5), 0);
      const elsewhere = pushIo(again, IO_OP.read, IO_FLAG.verify, file, 4096, 0, 4 * MIB, 100_000, low, high);
      setIoKey(again, elsewhere, key(5), 0);
      await io.submit(again, reading);
      t.strictSame(results(again), [100_000, -EBADMSG, -EBADMSG, -EBADMSG]);
      t.equal(Buffer.compare(pane.subarray(0, 100_000), pane.subarray(MIB, MIB + 100_000)), 0);
      io.close(file);

      const stranger = await io.open('one', { direct, identity: identity(8) });
      const foreign = createIoBatch(1);
      pushIo(foreign, IO_OP.read, IO_FLAG.verify, stranger, 8192, 0, MIB, 100_000, low, high);
      setIoKey(foreign, 0, key(5), 0);
      await io.submit(foreign, reading);
      t.strictSame(results(foreign), [-EBADMSG], 'the same bytes under another identity are refused');
      io.close(stranger);
    });

    withIO(`on ${mode} neighbours are scattered over the arena in one run`, async (t, io) => {
      const file = await io.open('run', { create: true, write: true, direct, sizeBytes: 8 * MIB });
      const pane = io.panes[0]!;
      const lengths = [65_536, 61_440, 100, 4096, 5000, 131_072, 1, 65_536];
      const sums: [number, number][] = [];
      const unit = direct ? 4096 : 1;
      const write = createIoBatch(lengths.length + 1);
      const starts: number[] = [];
      let at = 0;
      lengths.forEach((length, index) => {
        fill(pane.subarray(index * MIB, index * MIB + length), index + 3);
        pane.fill(0xee, index * MIB + length, index * MIB + length + 8192);
        starts.push(at);
        pushIo(
          write,
          IO_OP.write,
          IO_FLAG.checksum | (index > 0 ? IO_FLAG.adjacent : 0),
          file,
          at,
          0,
          index * MIB,
          length,
        );
        at += Math.ceil(length / unit) * unit;
      });
      pushIo(write, IO_OP.sync, 0, file, 0, 0, 0, 0);
      await io.submit(write, writing);
      t.strictSame(results(write), [...lengths, 0]);
      lengths.forEach((length, index) => {
        sums.push(checksumOf(write, index));
        const tail = pane[index * MIB + length]!;
        t.equal(
          tail,
          direct && length % 4096 !== 0 ? 0 : 0xee,
          'only a tail that reaches the disk is zeroed',
        );
      });

      const read = createIoBatch(lengths.length);
      const to = (index: number): number => 8 * MIB + (lengths.length - 1 - index) * MIB;
      lengths.forEach((length, index) => {
        const flags = IO_FLAG.verify | (index > 0 ? IO_FLAG.adjacent : 0);
        pushIo(read, IO_OP.read, flags, file, starts[index]!, 0, to(index), length, ...sums[index]!);
      });
      await io.submit(read, reading);
      t.strictSame(results(read), lengths);
      lengths.forEach((length, index) => {
        const [from, into] = [index * MIB, to(index)];
        t.equal(Buffer.compare(pane.subarray(from, from + length), pane.subarray(into, into + length)), 0);
      });
      io.close(file);
    });

    withIO(`on ${mode} a long operation is whole and its checksum that of one pass`, async (t, io) => {
      const length = 5 * MIB + 12_345;
      const file = await io.open('long', { create: true, write: true, direct, sizeBytes: 8 * MIB });
      const pane = io.panes[0]!;
      fill(pane.subarray(0, length), 9);
      const batch = createIoBatch(3);
      pushIo(batch, IO_OP.checksum, 0, file, 4096, 0, 0, length);
      pushIo(batch, IO_OP.write, IO_FLAG.checksum, file, 4096, 0, 0, length);
      await io.submit(batch, writing);
      t.strictSame(results(batch), [length, length]);
      t.strictSame(checksumOf(batch, 0), checksumOf(batch, 1));
      const read = createIoBatch(1);
      pushIo(read, IO_OP.read, IO_FLAG.verify, file, 4096, 0, 8 * MIB, length, ...checksumOf(batch, 0));
      await io.submit(read, reading);
      t.strictSame(results(read), [length]);
      t.equal(Buffer.compare(pane.subarray(0, length), pane.subarray(8 * MIB, 8 * MIB + length)), 0);
      io.close(file);
    });

    withIO(`on ${mode} a read beyond the end fails, its neighbours do not`, async (t, io) => {
      const file = await io.open('end', { create: true, write: true, direct, sizeBytes: 131_072 });
      const batch = createIoBatch(3);
      pushIo(batch, IO_OP.read, 0, file, 0, 0, 0, 65_536);
      pushIo(batch, IO_OP.read, IO_FLAG.adjacent, file, 65_536, 0, MIB, 65_536);
      pushIo(batch, IO_OP.read, IO_FLAG.adjacent, file, 131_072, 0, 2 * MIB, 65_536);
      await io.submit(batch, reading);
      t.strictSame(results(batch), [65_536, 65_536, -EIO]);
      io.close(file);
    });
  }

  withIO('seeded batches of every kind agree with a model in memory', async (t, io) => {
    const random = seededRandom(t);
    const below = (limit: number): number => Math.floor(random() * limit);
    const fileBytes = 4 * MIB;
    const file = await io.open('model', { create: true, write: true, direct: true, sizeBytes: fileBytes });
    const disk = new Uint8Array(fileBytes);
    const pane = io.panes[0]!;
    const arena = new Uint8Array(8 * MIB);
    pane.fill(0, 0, arena.length);
    for (let turn = 0; turn < 60; turn++) {
      const batch = createIoBatch(32);
      // Operations of one batch run concurrently: their ranges must not meet, in the file nor in the arena.
      const places = Array.from({ length: 32 }, (_, i) => i).sort(() => random() - 0.5);
      const writes = random() < 0.5;
      let diskAt = below(16) * 4096;
      for (let i = 0; i < 16; i++) {
        const length = 1 + below(3) * 40_000 + below(40_000);
        const padded = Math.ceil(length / 4096) * 4096;
        const from = places[i]! * 262_144 + below(20) * 4096;
        if (diskAt + padded > fileBytes) break;
        if (writes) {
          fill(pane.subarray(from, from + length), turn * 100 + i);
          arena.set(pane.subarray(from, from + length), from);
          arena.fill(0, from + length, from + padded);
          disk.set(arena.subarray(from, from + padded), diskAt);
        } else {
          arena.set(disk.subarray(diskAt, diskAt + padded), from);
        }
        pushIo(batch, writes ? IO_OP.write : IO_OP.read, IO_FLAG.adjacent, file, diskAt, 0, from, length);
        diskAt += padded + (random() < 0.3 ? below(8) * 4096 : 0);
      }
      if (writes) pushIo(batch, IO_OP.sync, 0, file, 0, 0, 0, 0);
      await io.submit(batch, writes ? writing : reading);
      for (let i = 0; i < batch.count; i++) {
        if (resultOf(batch, i) !== batch.uwords[i * IO_WORDS + 8])
          t.fail(`turn ${turn}: ${resultOf(batch, i)}`);
      }
      if (Buffer.compare(arena, pane.subarray(0, arena.length)) !== 0) {
        t.fail(`turn ${turn}: the arena differs from the model`);
        return;
      }
    }
    io.close(file);
  });

  withIO('checksums without an identity are those of the bytes alone', async (t, io) => {
    io.panes[0]!.set(Buffer.from('123456789'));
    const batch = createIoBatch(1);
    pushIo(batch, IO_OP.checksum, IO_FLAG.unbound, 0, 0, 0, 0, 9);
    await io.submit(batch, reading);
    t.strictSame(checksumOf(batch, 0), [0x0a799888, 0xae8b1486]);
  });

  withIO('a copy moves bytes between buffers and verifies them', async (t, io) => {
    const pane = io.panes[0]!;
    fill(pane.subarray(0, 300_000), 4);
    const batch = createIoBatch(2);
    pushIo(batch, IO_OP.checksum, IO_FLAG.unbound, 0, 0, 0, 0, 300_000);
    await io.submit(batch, reading);
    const [low, high] = checksumOf(batch, 0);
    const copies = createIoBatch(2);
    const flags = IO_FLAG.verify | IO_FLAG.unbound;
    setIoCopySource(copies, pushIo(copies, IO_OP.copy, flags, 0, 0, 0, MIB, 300_000, low, high), 0, 0);
    setIoCopySource(
      copies,
      pushIo(copies, IO_OP.copy, flags, 0, 0, 0, 2 * MIB, 300_000, low + 1, high),
      0,
      0,
    );
    await io.submit(copies, reading);
    t.strictSame(results(copies), [300_000, -EBADMSG]);
    t.equal(Buffer.compare(pane.subarray(0, 300_000), pane.subarray(MIB, MIB + 300_000)), 0);
  });

  withIO('a sync does not run after a failure, and what is wrong is refused', async (t, io) => {
    const file = await io.open('bad', { create: true, write: true, direct: true, sizeBytes: MIB });
    const readOnly = await io.open('bad', { direct: true });
    const pane = io.panes[0]!;
    const batch = createIoBatch(8);
    pushIo(batch, IO_OP.write, 0, readOnly, 0, 0, 0, 4096);
    pushIo(batch, IO_OP.write, 0, file, 100, 0, 0, 4096);
    pushIo(batch, IO_OP.write, 0, file, 0, 0, 100, 4096);
    pushIo(batch, IO_OP.write, 0, file, 0, 0, pane.length, 4096);
    pushIo(batch, IO_OP.read, 0, file, 0, 999_999, 0, 4096);
    pushIo(batch, IO_OP.read, 0, 0x7fff_ffff, 0, 0, 0, 4096);
    pushIo(batch, 77, 0, file, 0, 0, 0, 4096);
    pushIo(batch, IO_OP.sync, 0, file, 0, 0, 0, 0);
    await io.submit(batch, writing);
    t.strictSame(results(batch), [-EBADF, -EINVAL, -EINVAL, -EFAULT, -EFAULT, -EBADF, -EINVAL, -ECANCELED]);

    fill(pane.subarray(0, 4096), 1);
    const refused = createIoBatch(2);
    pushIo(refused, IO_OP.write, IO_FLAG.verify | IO_FLAG.unbound, file, 0, 0, 0, 4096, 1, 1);
    pushIo(refused, IO_OP.read, 0, file, 0, 0, MIB, 4096);
    await io.submit(refused, writing);
    t.equal(resultOf(refused, 0), -EBADMSG);
    const after = createIoBatch(1);
    pushIo(after, IO_OP.read, 0, file, 0, 0, MIB, 4096);
    await io.submit(after, reading);
    t.ok(
      pane.subarray(MIB, MIB + 4096).every((byte) => byte === 0),
      'a write that does not verify does not reach the file',
    );
    io.close(readOnly);
    io.close(file);
    const late = createIoBatch(1);
    pushIo(late, IO_OP.read, 0, file, 0, 0, 0, 4096);
    await io.submit(late, reading);
    t.strictSame(results(late), [-EBADF], 'a closed file is unknown');
  });

  withIO('many batches at once all come back', async (t, io) => {
    const file = await io.open('many', { create: true, write: true, direct: true, sizeBytes: 4 * MIB });
    const batches = Array.from({ length: 64 }, (_, index) => {
      const batch = createIoBatch(2);
      pushIo(
        batch,
        index % 2 === 0 ? IO_OP.read : IO_OP.write,
        0,
        file,
        index * 65_536,
        0,
        index * 65_536,
        65_536,
      );
      return batch;
    });
    await Promise.all(batches.map((batch, index) => io.submit(batch, index % 2 === 0 ? reading : writing)));
    t.ok(batches.every((batch) => resultOf(batch, 0) === 65_536));
    const { reads, writes, bytesRead, bytesWritten, quarantined } = io.counters;
    t.strictSame(
      { reads, writes, bytesRead, bytesWritten, quarantined },
      { reads: 32, writes: 32, bytesRead: 2 * MIB, bytesWritten: 2 * MIB, quarantined: 0 },
    );
    io.close(file);
  });

  withIO('files are created once, sized, and told of', async (t, io) => {
    const file = await io.open('sized', { create: true, write: true, direct: true, sizeBytes: MIB });
    await t.rejects(io.open('sized', { create: true, write: true }), {
      code: 'ERR_STORAGE_FAILED',
      errno: EEXIST,
    });
    await t.rejects(io.open('absent'), { code: 'ERR_STORAGE_FAILED', errno: ENOENT });
    t.match(await io.stat('sized'), { sizeBytes: MIB, directory: false });
    t.equal(await io.stat('absent'), undefined);
    t.ok((await io.statfs()).totalBytes > 0);
    io.close(file);
    t.throws(() => io.close(file));
  });

  withIO('small files are replaced whole, listed and removed', async (t, io) => {
    await io.mkdir('a/b');
    await io.mkdir('a/b');
    t.match(await io.stat('a/b'), { directory: true });
    t.equal(await io.readFile('a/b/small'), undefined);
    await io.writeFile('a/b/small', Buffer.from('first'));
    await io.writeFile('a/b/small', Buffer.from('second, longer'));
    await io.writeFile('a/b/empty', new Uint8Array(0));
    t.equal(Buffer.from((await io.readFile('a/b/small'))!).toString(), 'second, longer');
    t.equal((await io.readFile('a/b/empty'))!.length, 0);
    await t.rejects(io.readFile('a/b/small', { maxBytes: 4 }), failsWith(EFBIG));
    t.strictSame(await io.list('a/b'), ['empty', 'small']);
    t.strictSame(await io.list('nowhere'), []);
    await io.unlink('a/b/small');
    await io.unlink('a/b/small');
    t.strictSame(await io.list('a/b'), ['empty']);
  });

  withIO('a path that leaves the root is refused', async (t, io) => {
    await io.mkdir('inner');
    for (const path of ['../x', '/etc/passwd', 'inner/../../x', '..']) {
      await t.rejects(io.open(path), failsWith(EXDEV), path);
      await t.rejects(io.readFile(path), failsWith(EXDEV), path);
      await t.rejects(io.writeFile(path, new Uint8Array(1)), failsWith(EXDEV), path);
      await t.rejects(io.unlink(path), failsWith(EXDEV), path);
      await t.rejects(io.mkdir(path), failsWith(EXDEV), path);
    }
    await t.rejects(io.open(''), failsWith(EINVAL));
  });

  withIO('a lock is held by one', async (t, io) => {
    t.equal(await io.lock('held'), true);
    t.equal(await io.lock('held'), false);
    t.equal(await io.lock('other'), true);
  });

  withIO('bad arguments are refused by name', async (t, io) => {
    await t.rejects(io.open('x', { create: true, identity: new Uint8Array(3) }), /identity must be 40 bytes/);
    const batch = createIoBatch(1);
    pushIo(batch, IO_OP.checksum, IO_FLAG.unbound, 0, 0, 0, 0, 9);
    await t.rejects(io.submit(batch, { lane: 'read', deadlineMs: 0 }), /deadlineMs/);
    t.equal(resultOf(batch, 0), IO_PENDING);
    t.throws(() => io.detachRegion(12_345), RangeError);
  });

  t.test('after stop everything is refused', async (t) => {
    const io = await create(t);
    const batch = createIoBatch(1);
    pushIo(batch, IO_OP.checksum, IO_FLAG.unbound, 0, 0, 0, 0, 9);
    const last = io.submit(batch, reading);
    await io.stop();
    await last;
    t.equal(resultOf(batch, 0), 9, 'what was submitted before is done');
    await io.stop();
    await t.rejects(io.submit(batch, reading), { code: 'ERR_NODE_CLOSED' });
    await t.rejects(io.open('x'), { code: 'ERR_NODE_CLOSED' });
    await t.rejects(async () => io.list('x'), { code: 'ERR_NODE_CLOSED' });
  });
}
