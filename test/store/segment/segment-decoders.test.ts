import { PAGE_BYTES, RefillError } from '@refill/interface';
import t from 'tap';
import { decodeBatchHeader, encodeBatchHeader } from '../../../packages/store/src/segment/batch-header.ts';
import { decodeFooter, decodeTrailer } from '../../../packages/store/src/segment/footer.ts';
import { endHeader } from '../../../packages/store/src/segment/segment-bytes.ts';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
} from '../../../packages/store/src/segment/segment-header.ts';
import { sampleSegment } from '../../fixtures/sample-segment.ts';
import { seededRandom } from '../../fixtures/seeded-random.ts';

const SIZE_BYTES = 8 * 2 ** 20;
const sample = await sampleSegment();
const headerPage = sample.pages.get(0)!;
const batchPage = sample.pages.get(1)!;
const trailerPage = sample.pages.get(SIZE_BYTES / PAGE_BYTES - 1)!;
const trailer = decodeTrailer(trailerPage, SIZE_BYTES)!;
const footer = sample.pages.get(trailer.footerOffset / PAGE_BYTES)!.subarray(0, trailer.footerBytes);

t.test('headers read back as they were written', async (t) => {
  const header = decodeSegmentHeader(headerPage)!;
  t.match(header, { node: 'node-a', epoch: 1, sizeBytes: SIZE_BYTES, policy: { compress: false } });
  t.equal(header.fingerprint.name, 'tests');
  const again = new Uint8Array(PAGE_BYTES);
  encodeSegmentHeader(again, header);
  t.equal(Buffer.compare(again, headerPage), 0);
  const batch = decodeBatchHeader(batchPage)!;
  t.match(batch, { sequence: 1, offset: PAGE_BYTES, blocks: 4, syncedBytes: 0, epoch: 1 });
  encodeBatchHeader(again, batch);
  t.equal(Buffer.compare(again, batchPage), 0);
  const batches = (await decodeFooter(trailer, footer))!;
  t.same(
    batches.map(({ sequence, blocks }) => [sequence, blocks]),
    [
      [1, 4],
      [2, 6],
      [3, 1],
    ],
  );
  t.equal(trailer.tombstones, 1);
});

t.test('a flip of any bit of a header is noticed', async (t) => {
  let taken = 0;
  for (let at = 0; at < PAGE_BYTES; at++) {
    for (const [page, decode] of [
      [headerPage, decodeSegmentHeader],
      [batchPage, decodeBatchHeader],
      [trailerPage, (bytes: Uint8Array) => decodeTrailer(bytes, SIZE_BYTES)],
    ] as const) {
      const damaged = page.slice();
      damaged[at]! ^= 1 << (at % 8);
      if (decode(damaged) !== undefined) taken++;
    }
  }
  t.equal(taken, 0);
  for (let at = 0; at < footer.length; at++) {
    const damaged = footer.slice();
    damaged[at]! ^= 1 << (at % 8);
    if ((await decodeFooter(trailer, damaged)) !== undefined) taken++;
  }
  t.equal(taken, 0, 'nor of a footer');
});

t.test('whole headers of another version are refused by name', async (t) => {
  for (const [page, decode] of [
    [headerPage, decodeSegmentHeader],
    [batchPage, decodeBatchHeader],
    [trailerPage, (bytes: Uint8Array) => decodeTrailer(bytes, SIZE_BYTES)],
  ] as const) {
    const newer = page.slice();
    newer[8] = 2;
    endHeader(newer);
    t.throws(() => decode(newer), { code: 'ERR_VERSION' });
  }
});

t.test('no bytes make a decoder fail otherwise, also with a right checksum', async (t) => {
  const random = seededRandom(t);
  const words = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 4096, 112];
  for (let round = 0; round < 3000; round++) {
    const page = [headerPage, batchPage, trailerPage][round % 3]!.slice();
    const view = new DataView(page.buffer);
    for (let change = 0; change <= random() * 4; change++) {
      const at = 4 * Math.floor((random() * (round % 2 === 0 ? 640 : PAGE_BYTES)) / 4);
      const word = random() < 0.5 ? words[Math.floor(random() * words.length)]! : random() * 2 ** 32;
      view.setUint32(at, word, true);
    }
    const cut = random() < 0.1 ? page.subarray(0, Math.floor(random() * PAGE_BYTES)) : page;
    if (random() < 0.8 && cut.length >= 8) endHeader(cut);
    try {
      decodeSegmentHeader(cut);
      decodeBatchHeader(cut);
      const found = decodeTrailer(cut, SIZE_BYTES);
      if (found !== undefined) await decodeFooter(found, footer);
    } catch (error) {
      if (!(error instanceof RefillError && error.code === 'ERR_VERSION')) throw error;
    }
  }
  t.pass();
});

t.test('a footer with a right checksum and any content is decoded or refused', async (t) => {
  const { crc64 } = await import('../../../packages/store/src/segment/crc64.ts');
  const random = seededRandom(t);
  for (let round = 0; round < 2000; round++) {
    const bytes = footer.slice();
    for (let change = 0; change <= random() * 3; change++) {
      bytes[Math.floor(random() * bytes.length)] = random() * 256;
    }
    const crc = crc64(bytes);
    await decodeFooter({ ...trailer, footerCrcLo: crc.lo, footerCrcHi: crc.hi }, bytes);
  }
  t.pass();
});
