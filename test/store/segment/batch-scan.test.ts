import { PAGE_BYTES } from '@refill/interface';
import t from 'tap';
import { decodeBatchHeader, encodeBatchHeader } from '../../../packages/store/src/segment/batch-header.ts';
import { type ScannedSegment, scanBatches } from '../../../packages/store/src/segment/batch-scan.ts';
import { IoBatches } from '../../../packages/store/src/segment/io-batches.ts';
import { ScratchLease } from '../../../packages/store/src/segment/scratch-lease.ts';
import { DamagedSegment } from '../../fixtures/damaged-segment.ts';

async function scan(segment: DamagedSegment, sizeBytes = segment.file.sizeBytes): Promise<ScannedSegment> {
  const { io, clock, scratch, disk, directory } = segment.world;
  const parts = {
    io,
    clock,
    lease: new ScratchLease(scratch, clock),
    batches: new IoBatches(64),
    deadlineMs: 1_000,
  };
  const file = await io.open([...disk.files].find(([, other]) => other === segment.file)![0]);
  const namespaceId = directory.namespaces()[0]!.id;
  try {
    return await scanBatches(parts, file, { segmentId: segment.id, namespaceId, epoch: 1, sizeBytes });
  } finally {
    io.close(file);
    t.equal(scratch.taken, 0);
  }
}

/** Replaces the header on a page by the same with other fields, and a checksum that is right. */
function rewrite(
  { file }: DamagedSegment,
  page: number,
  fields: Partial<NonNullable<ReturnType<typeof decodeBatchHeader>>>,
): void {
  const header = decodeBatchHeader(file.pages.get(page)!.slice())!;
  const bytes = new Uint8Array(PAGE_BYTES);
  encodeBatchHeader(bytes, { ...header, ...fields });
  file.pages.set(page, bytes);
}

const sequences = ({ batches }: ScannedSegment): number[] => batches.map(({ sequence }) => sequence);

t.test('batches follow each other to the end of the last', async (t) => {
  const segment = await DamagedSegment.make({ sealed: false });
  const scanned = await scan(segment);
  t.same(sequences(scanned), [1, 2, 3]);
  t.match(scanned, { gaps: 0, skippedBytes: 0, endBytes: (segment.layout.headers.at(-1)! + 1) * PAGE_BYTES });
});

t.test('whole headers of another segment, namespace or epoch are none of this one', async (t) => {
  for (const fields of [
    { segmentId: new Uint8Array(16).fill(9) },
    { namespaceId: new Uint8Array(16).fill(9) },
    { epoch: 2 },
  ]) {
    const segment = await DamagedSegment.make({ sealed: false });
    rewrite(segment, segment.layout.headers[2]!, fields);
    const scanned = await scan(segment);
    t.same(sequences(scanned), [1, 3]);
    t.match(scanned, { gaps: 1, skippedBytes: 7 * PAGE_BYTES });
  }
});

t.test('a sequence that does not rise is passed over, also when it is searched for', async (t) => {
  const segment = await DamagedSegment.make({ sealed: false });
  rewrite(segment, segment.layout.headers[2]!, { sequence: 1 });
  rewrite(segment, segment.layout.headers[3]!, { sequence: 1 });
  t.same(sequences(await scan(segment)), [1]);
});

t.test('a header at an offset that is not its own is nothing, in a payload as in the hole', async (t) => {
  const segment = await DamagedSegment.make({ sealed: false });
  const { file, layout } = segment;
  const [, first, second, third] = layout.headers as [number, number, number, number];
  const copy = file.pages.get(third)!.slice();
  file.pages.set(first, new Uint8Array(PAGE_BYTES));
  file.pages.set(first + 1, copy);
  file.pages.set(third + 2, copy);
  const scanned = await scan(segment);
  t.same(sequences(scanned), [2, 3]);
  t.equal(scanned.batches[0]!.offset, second * PAGE_BYTES);
});

t.test('a file that ends within a batch still tells of that batch, and ends there', async (t) => {
  const segment = await DamagedSegment.make({ sealed: false });
  const [, first, second] = segment.layout.headers as [number, number, number];
  const scanned = await scan(segment, (second + 2) * PAGE_BYTES);
  t.same(sequences(scanned), [1, 2]);
  t.equal(scanned.endBytes, (second + 2) * PAGE_BYTES);
  t.same(sequences(await scan(segment, first * PAGE_BYTES)), []);
});

t.test('a device that fails ends the scan by an error, never by a shorter answer', async (t) => {
  const segment = await DamagedSegment.make({ sealed: false });
  const { io } = segment.world;
  const [, , second] = segment.layout.headers as [number, number, number];
  io.options.fault = (op) =>
    op.kind === 'read' && op.offset === second * PAGE_BYTES ? { errno: 5 } : undefined;
  await t.rejects(scan(segment), { code: 'ERR_STORAGE_FAILED', errno: 5 });
  segment.file.pages.delete(second);
  io.options.fault = (op) =>
    op.kind === 'read' && op.offset === (second + 1) * PAGE_BYTES ? { errno: 5 } : undefined;
  await t.rejects(scan(segment), { code: 'ERR_STORAGE_FAILED', errno: 5 });
});
