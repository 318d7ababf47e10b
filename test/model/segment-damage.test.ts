import { PAGE_BYTES } from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '@refill/store';
import t, { type Test } from 'tap';
import { decodeBatchHeader } from '../../packages/store/src/segment/batch-header.ts';
import { decodeFooter, decodeTrailer } from '../../packages/store/src/segment/footer.ts';
import { IoBatches } from '../../packages/store/src/segment/io-batches.ts';
import { ScratchLease } from '../../packages/store/src/segment/scratch-lease.ts';
import { readContents } from '../../packages/store/src/segment/segment-contents.ts';
import { decodeSegmentHeader } from '../../packages/store/src/segment/segment-header.ts';
import { DamagedSegment } from '../fixtures/damaged-segment.ts';

t.setTimeout(240_000);

/** The whole way through rebuild or recovery and reader takes milliseconds: every 16th byte, or each by the environment. */
const FULL_STEP = Number(process.env.REFILL_FLIP_STEP ?? 16);
const SIZE_BYTES = 8 * 2 ** 20;

t.test('every bit of every header, trailer and footer: flipped, it is noticed', async (t) => {
  const segment = await DamagedSegment.make({ sealed: true });
  const { headers, footer, trailer } = segment.layout;
  const decoders: [page: number, decode: (bytes: Uint8Array) => unknown][] = headers.map((page) => [
    page,
    page === 0 ? decodeSegmentHeader : decodeBatchHeader,
  ]);
  decoders.push([trailer[0]!, (bytes) => decodeTrailer(bytes, SIZE_BYTES)]);
  const taken: string[] = [];
  for (const [page, decode] of decoders) {
    const bytes = segment.file.pages.get(page)!.slice();
    t.ok(decode(bytes), `page ${page} is whole`);
    for (let bit = 0; bit < 8 * PAGE_BYTES; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      if (decode(bytes) !== undefined) taken.push(`bit ${bit} of page ${page}`);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  }
  const found = decodeTrailer(segment.file.pages.get(trailer[0]!)!, SIZE_BYTES)!;
  const stored = segment.file.pages.get(footer[0]!)!.slice(0, found.footerBytes);
  t.ok(await decodeFooter(found, stored), 'the footer is whole');
  for (let bit = 0; bit < 8 * stored.length; bit++) {
    stored[bit >> 3]! ^= 1 << (bit & 7);
    if ((await decodeFooter(found, stored)) !== undefined) taken.push(`bit ${bit} of the footer`);
    stored[bit >> 3]! ^= 1 << (bit & 7);
  }
  t.same(taken.slice(0, 5), []);
});

t.test('every byte of every payload: flipped, a block reads exactly or not at all', async (t) => {
  const segment = await DamagedSegment.make({ sealed: true });
  const { world, blocks, layout } = segment;
  const pages = layout.payloads;
  const all = pages.flat().length + layout.headers.length + layout.footer.length + layout.trailer.length;
  t.equal(all, segment.used.length, 'every page of the file has its part');
  const { rows: template, found } = await world.loadRows(blocks.map(({ key }) => key));
  const faults: string[] = [];
  // Blocks are verified each on its own: one flipped bit in each at a time.
  for (let at = 0; at < Math.max(...pages.map((of) => of.length)) * PAGE_BYTES; at++) {
    const flip = (): void => {
      for (const [block, of] of pages.entries()) {
        const page = of[Math.floor(at / PAGE_BYTES)];
        if (page !== undefined) segment.file.pages.get(page)![at % PAGE_BYTES]! ^= 1 << ((at + block) % 8);
      }
    };
    const rows = template.slice();
    flip();
    await world.tier.load(rows, found.length, 5_000);
    flip();
    for (const [row, block] of found.entries()) {
      const { bytes } = blocks[block]!;
      const from = rows[row * LOAD_ROW_WORDS + LOAD_ROW.bufferOffsetLo]!;
      const status = rows[row * LOAD_ROW_WORDS + LOAD_ROW.status]!;
      const hit = at < bytes.length;
      if (status !== (hit ? LOAD_STATUS.corrupt : LOAD_STATUS.done))
        faults.push(`block ${block} at ${at}: ${status}`);
      const loaded = world.io.panes[0]!.subarray(from, from + bytes.length);
      if (!hit && Buffer.compare(loaded, bytes) !== 0) faults.push(`block ${block} at ${at}: other bytes`);
    }
  }
  t.same(faults.slice(0, 5), []);
});

/** What a scan of the file says, entry by entry, or the code of a typed error. */
async function scan({ world, file, id }: DamagedSegment): Promise<Map<string, number>> {
  const { io, clock, scratch } = world;
  const parts = {
    io,
    clock,
    lease: new ScratchLease(scratch, clock),
    batches: new IoBatches(64),
    deadlineMs: 1_000,
  };
  const namespaceId = world.directory.namespaces()[0]!.id;
  const handle = await io.open([...world.disk.files].find(([, other]) => other === file)![0]);
  const owner = { segmentId: id, namespaceId, epoch: 1, sizeBytes: file.sizeBytes };
  try {
    const { batches } = await readContents(parts, handle, owner);
    return new Map(
      batches.map(({ sequence, entries, blocks }) => [`${sequence}:${entries.join(',')}`, blocks]),
    );
  } finally {
    io.close(handle);
  }
}

for (const sealed of [true, false]) {
  t.test(
    `every byte of ${sealed ? 'a sealed' : 'an unsealed'} segment: flipped, a scan says nothing untrue`,
    async (t) => {
      const segment = await DamagedSegment.make({ sealed });
      const { layout } = segment;
      const truth = await scan(segment);
      const untrue: string[] = [];
      let batches = 0;
      let flips = 0;
      for (const page of segment.used) {
        if (!segment.file.pages.has(page)) continue;
        // Payloads are verified block by block: one flip in a page says all. A damaged footer is a long scan each time.
        const { payloads, headers } = layout;
        const step = payloads.flat().includes(page) ? PAGE_BYTES : headers.includes(page) ? 1 : 32;
        for (let at = 0; at < PAGE_BYTES; at += step, flips++) {
          const said = await segment.withFlip(page, at, at % 8, () => scan(segment));
          batches += said.size;
          for (const entry of said.keys()) if (!truth.has(entry)) untrue.push(`byte ${at} of page ${page}`);
        }
      }
      t.same(untrue.slice(0, 5), []);
      t.comment(
        `${flips} flips, ${((100 * batches) / (flips * truth.size)).toFixed(1)} % of the batches found`,
      );
      t.ok(batches > flips * (truth.size - 1) - 4 * PAGE_BYTES, 'a flip costs one batch');
    },
  );
}

async function everyByte(t: Test, segment: DamagedSegment, reopen: () => Promise<unknown>): Promise<void> {
  const { headers, footer, trailer } = segment.layout;
  await reopen();
  const full = await segment.whole();
  for (const page of [...headers, ...footer, ...trailer]) {
    for (let at = 0; at < PAGE_BYTES; at += FULL_STEP) {
      await segment.withFlip(page, at, at % 8, async () => {
        await reopen();
        await segment.whole();
      });
    }
  }
  await reopen();
  t.equal(await segment.whole(), full, 'undamaged it reads as before');
  t.equal(segment.world.scratch.taken, 0);
}

t.test('flips in a sealed segment, rebuilt and read', async (t) => {
  const segment = await DamagedSegment.make({ sealed: true });
  await everyByte(t, segment, () => segment.rebuild());
});

t.test('flips in an unsealed segment, rebuilt and read', async (t) => {
  const segment = await DamagedSegment.make({ sealed: false });
  await everyByte(t, segment, () => segment.rebuild());
});

t.test('flips in a segment left open, recovered and read', async (t) => {
  const segment = await DamagedSegment.make({ sealed: false });
  await segment.rebuild();
  await everyByte(t, segment, () => segment.recover());
});

for (const sealed of [true, false]) {
  for (const by of ['rebuild', 'recover'] as const) {
    t.test(`${sealed ? 'a sealed' : 'an unsealed'} segment cut at every 512 bytes: ${by}`, async (t) => {
      const segment = await DamagedSegment.make({ sealed });
      const { file, used, world } = segment;
      await segment.rebuild();
      const contentBytes = (used.at(-2)! + 2) * PAGE_BYTES;
      const cuts = Array.from({ length: contentBytes / 512 }, (_, i) => i * 512);
      // The hole says nothing new; the trailer's page does.
      cuts.push(SIZE_BYTES / 2, ...Array.from({ length: 8 }, (_, i) => SIZE_BYTES - PAGE_BYTES + i * 512));
      let before = 0;
      const lost: string[] = [];
      for (const sizeBytes of cuts.filter((bytes) => bytes < file.sizeBytes)) {
        const whole = await segment.withSize(sizeBytes, async () => {
          // What a node finds that was running: locations beyond the end are misses.
          await segment.whole();
          const report = await segment[by]();
          if ('unreadable' in report && report.unreadable > 0) lost.push(`unreadable at ${sizeBytes}`);
          return segment.whole();
        });
        // The removed block comes back where the tombstone was cut off, and goes where it is there.
        if (whole < before - 1) lost.push(`${whole} blocks of ${sizeBytes} bytes, ${before} of less`);
        before = Math.max(before, whole);
      }
      t.same(lost, [], 'every block whose bytes are there is there');
      t.ok(before >= 9, `${before} blocks at most`);
      await segment[by]();
      t.equal(await segment.whole(), 9);
      t.equal(world.scratch.taken, 0);
    });
  }
}

t.test(
  'a scan of a torn tail ends, and takes neither an older header nor one inside a payload for a batch',
  async (t) => {
    const segment = await DamagedSegment.make({ sealed: false });
    const { file, layout } = segment;
    const truth = await scan(segment);
    const second = layout.headers[2]!;
    const header = file.pages.get(layout.headers[1]!)!;
    // A copy of a whole header of this very segment, at an offset that is not its own.
    file.pages.set(segment.used.at(-2)! + 1, header.slice());
    file.pages.set(second + 1, header.slice());
    t.same([...(await scan(segment)).keys()], [...truth.keys()]);
    // The second header torn after a sector: the third, a tombstone's, is found behind it.
    file.pages.set(
      second,
      Uint8Array.from(file.pages.get(second)!, (byte, at) => (at < 512 ? byte : 0)),
    );
    const said = await scan(segment);
    t.equal(said.size, 2);
    t.ok([...said.keys()].every((entry) => truth.has(entry)));
    const report = await segment.rebuild();
    t.match(report, { gaps: 1, skippedBytes: 7 * PAGE_BYTES });
    for (const page of layout.headers.slice(2)) file.pages.delete(page);
    t.equal((await scan(segment)).size, 1, 'nothing whole behind: the end');
  },
);
