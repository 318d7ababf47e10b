import { createIoBatch, IO_FLAG, IO_OP, IO_WORDS, pushIo } from '@refill/interface';
import { createBlockIO } from '@refill/native-io';
import t from 'tap';

const MIB = 2 ** 20;

for (const engine of ['io_uring', 'threads'] as const) {
  t.test(`two ${engine} engines with roots of their own move bytes of one arena`, async (t) => {
    const roots = t.testdir({ first: {}, second: {} });
    const first = await createBlockIO({ root: `${roots}/first`, arenaBytes: 4 * MIB, engine });
    const second = await createBlockIO({ root: `${roots}/second`, arenaOf: first, engine });
    t.equal(second.panes[0], first.panes[0]);
    t.equal(second.report.arenaBytes, first.report.arenaBytes);
    const file = await second.open('one', { create: true, write: true, direct: true, sizeBytes: MIB });
    first.panes[0]!.fill(0xa5, 0, 8192);
    const write = createIoBatch(2);
    pushIo(write, IO_OP.write, IO_FLAG.checksum | IO_FLAG.unbound, file, 0, 0, 0, 8192);
    pushIo(write, IO_OP.sync, 0, file, 0, 0, 0, 0);
    await second.submit(write, { lane: 'write', deadlineMs: 10_000 });
    t.equal(write.words[9], 8192);
    const read = createIoBatch(1);
    const [lo, hi] = [write.uwords[10]!, write.uwords[11]!];
    pushIo(read, IO_OP.read, IO_FLAG.verify | IO_FLAG.unbound, file, 0, 0, MIB, 8192, lo, hi);
    await second.submit(read, { lane: 'read', deadlineMs: 10_000 });
    t.equal(read.words[9], 8192);
    t.ok(first.panes[0]!.subarray(MIB, MIB + 8192).every((byte) => byte === 0xa5));
    t.equal(await first.stat('one'), undefined, 'each has its own root');
    second.close(file);
    await second.stop();
    t.equal(first.panes[0]!.length, 4 * MIB, 'the arena outlives the engine that borrowed it');
    t.equal(read.words.length, IO_WORDS);
    await first.stop();
    t.equal(first.panes[0]!.length, 0);
    await t.rejects(createBlockIO({ root: `${roots}/second`, arenaOf: first, engine }), {
      code: 'ERR_NODE_CLOSED',
    });
  });
}
