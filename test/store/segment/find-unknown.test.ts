import { findUnknownSegments } from '@refill/store';
import t from 'tap';
import { SimFile } from '../../fixtures/sim-disk.ts';
import { blockOf, TierWorld } from '../../fixtures/tier-world.ts';

const parts = ({ io, directory, scratch, clock }: TierWorld) => ({ io, directory, scratch, clock });

/** A disk with one sealed segment, and its writer. */
async function oneSegment(): Promise<TierWorld> {
  const writer = new TierWorld({ payloadBytes: 2 ** 21 });
  await writer.boot();
  await writer.open();
  await writer.store([blockOf(1, 5000)]);
  await writer.tier.seal();
  return writer;
}

t.test(
  'a readable segment that the directory lacks is told, other files and damaged ones are not',
  async (t) => {
    const writer = await oneSegment();
    t.same(await findUnknownSegments(parts(writer)), []);
    const [path, file] = [...writer.disk.files][0]!;
    const other = new TierWorld({ disk: writer.disk, payloadBytes: 2 ** 21 });
    await other.boot();
    const named = async () =>
      (await findUnknownSegments(parts(other))).map((id) => Buffer.from(id).toString('hex'));
    t.same(await named(), [path.slice(-36, -4)]);
    // The same bytes under another name are another's, an empty file and one of zeros are nobody's.
    writer.disk.files.delete(path);
    writer.disk.files.set(`segments/aa/${'a'.repeat(32)}.seg`, file);
    writer.disk.files.set(`segments/bb/${'b'.repeat(32)}.seg`, new SimFile(0));
    writer.disk.files.set(`segments/cc/${'c'.repeat(32)}.seg`, new SimFile(8 << 20));
    writer.disk.files.set('segments/cc/notes.txt', new SimFile(10));
    t.same(await named(), []);
    writer.disk.files.set(path, file);
    let errors = 2;
    other.io.options.fault = (op) => (op.kind === 'read' && errors-- > 0 ? { errno: 5 } : undefined);
    t.same(await named(), [path.slice(-36, -4)], 'an error that passes hides nothing');
    other.io.options.fault = (op) => (op.kind === 'read' ? { errno: 5 } : undefined);
    t.same(await named(), [], 'what cannot be read keeps no node from starting');
    other.io.options.fault = (op) => (op.kind === 'list' ? { errno: 5 } : undefined);
    await t.rejects(named(), { code: 'ERR_STORAGE_FAILED' }, 'a root that cannot be listed does');
    t.equal(other.io.openHandles, 0);
    t.equal(other.scratch.taken, 0);
    await other.directory.stop();
  },
);

t.test(
  'names that show late are waited for where the directory knows no segment, and only there',
  async (t) => {
    const writer = await oneSegment();
    const [path, file] = [...writer.disk.files][0]!;
    writer.disk.files.delete(path);
    const lost = new TierWorld({ disk: writer.disk, payloadBytes: 2 ** 21 });
    await lost.boot();
    lost.clock.after(2000, () => void writer.disk.files.set(path, file));
    const startedMs = lost.clock.nowMs();
    t.equal((await findUnknownSegments(parts(lost), { namesSettleMs: 3000 })).length, 1);
    t.equal(lost.clock.nowMs() - startedMs, 3000);
    const knownMs = writer.clock.nowMs();
    await findUnknownSegments(parts(writer), { namesSettleMs: 3000 });
    t.equal(writer.clock.nowMs(), knownMs, 'a database that knows segments is not new');
    await lost.directory.stop();
  },
);
