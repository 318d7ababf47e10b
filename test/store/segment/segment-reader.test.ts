import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '@refill/store';
import t from 'tap';
import { SAMPLE_BLOCKS, sampleSegment } from '../../fixtures/sample-segment.ts';
import { blockOf, keyOf, sameBlock, TierWorld } from '../../fixtures/tier-world.ts';

const PAYLOAD_BYTES = 2 ** 21;

t.test('no flipped byte of a segment ever comes out as data', async (t) => {
  const { world, pages } = await sampleSegment();
  const keys = SAMPLE_BLOCKS.map(({ n }) => keyOf(n));
  const blocks = SAMPLE_BLOCKS.map(({ n, lengthBytes }) => blockOf(n, lengthBytes));
  let corrupt = 0;
  for (const [number, page] of pages) {
    for (let at = number % 61; at < page.length; at += 61) {
      page[at]! ^= 0x10;
      const { rows, found } = await world.loadRows(keys);
      await world.tier.load(rows, found.length, 5_000);
      for (const [row, i] of found.entries()) {
        const from = row * LOAD_ROW_WORDS;
        if (rows[from + LOAD_ROW.status] !== LOAD_STATUS.done) {
          corrupt++;
          continue;
        }
        const offset = rows[from + LOAD_ROW.bufferOffsetLo]!;
        const bytes = world.io.panes[0]!.subarray(offset, offset + rows[from + LOAD_ROW.lengthBytes]!);
        if (!sameBlock(bytes, blocks[i]!)) t.fail(`wrong bytes after a flip at ${at} of page ${number}`);
      }
      page[at]! ^= 0x10;
    }
  }
  t.ok(corrupt > 0, `${corrupt} reads were refused`);
  await world.close();
});

t.test('stale bytes are read again until they are fresh', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot({ staleReads: 3 });
  await world.open();
  await world.store([blockOf(1, 5000)]);
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000)));
  t.equal(world.tier.counters.retries, 3);
  await world.close();
});

t.test('bytes that stay wrong are corrupt, counted, and leave the directory', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot({ staleReads: 100 });
  await world.open();
  await world.store([blockOf(1, 5000)]);
  t.same(await world.load([keyOf(1)]), [LOAD_STATUS.corrupt]);
  t.same(await world.load([keyOf(1)]), [undefined]);
  t.equal(world.tier.counters.corrupt, 1);
  await world.close();
});

t.test('an error of the device is a failure, and the block stays', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  let broken = true;
  await world.boot({ fault: (op) => (op.kind === 'read' && broken ? { errno: 5 } : undefined) });
  await world.open();
  await world.store([blockOf(1, 5000)]);
  t.same(await world.load([keyOf(1)]), [LOAD_STATUS.failed]);
  broken = false;
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000)));
  await world.close();
});

t.test('a stale handle is opened anew, once', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  let reads = 0;
  await world.boot({ fault: (op) => (op.kind === 'read' && reads++ === 0 ? { errno: 116 } : undefined) });
  await world.open();
  await world.store([blockOf(1, 5000)]);
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000)));
  await world.close();
  t.equal(world.io.openHandles, 0);
});

t.test('a hung read is late, and its memory is named when the kernel lets go', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  const releases: (() => void)[] = [];
  await world.boot({ releases, fault: (op) => (op.kind === 'read' ? { hang: true } : undefined) });
  await world.open({ readTasksMax: 1 });
  await world.store([blockOf(1, 5000), blockOf(2, 5000)]);
  const released: number[] = [];
  world.io.onRelease = (_buffer, offset) => released.push(offset);
  const first = world.load([keyOf(1)], 1000);
  const queued = world.load([keyOf(2)], 300);
  t.same(await queued, [LOAD_STATUS.late], 'behind a hung lane, at its own deadline');
  t.same(await first, [LOAD_STATUS.late]);
  for (const release of releases) release();
  await new Promise<void>((resolve) => world.clock.after(10, resolve));
  t.equal(released.length, 2);
  await world.close();
});

t.test('a row with a source takes it from there if it verifies, and reads the segment if not', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot();
  await world.open();
  const block = blockOf(1, 5000);
  await world.store([block]);
  const buffer = await world.io.attachRegion({ path: 'r' }, 16_384);
  const source = world.io.regionPanes(buffer)[0]!;
  source.set(block.bytes, 4096);
  const { counters } = world.tier;
  const load = async (): Promise<Uint8Array> => {
    const { rows } = await world.loadRows([keyOf(1)]);
    rows[LOAD_ROW.sourceBuffer] = buffer;
    rows[LOAD_ROW.sourceOffsetLo] = 4096;
    await world.tier.load(rows, 1, 5_000);
    t.equal(rows[LOAD_ROW.status], LOAD_STATUS.done);
    const offset = rows[LOAD_ROW.bufferOffsetLo]!;
    return world.io.panes[0]!.slice(offset, offset + 5000);
  };
  const before = counters.deviceBytesRead;
  t.ok(sameBlock(await load(), block));
  t.equal(counters.deviceBytesRead, before, 'the disk was not asked');
  source[4096 + 17]! ^= 1;
  t.ok(sameBlock(await load(), block), 'its owner changed it: never other bytes');
  t.equal(counters.deviceBytesRead, before + 8192);
  t.equal(counters.retries, 0);
  await world.close();
});

t.test('a file that is not to be seen costs what is remembered of it, not the block', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000)]);
  await world.tier.seal();
  const said: unknown[] = [];
  // As the directory of a cluster does for a segment of another node.
  world.directory.removeGone = async (namespace, key, segment, page) => {
    said.push([namespace, [...key], segment, page]);
    return false;
  };
  const files = new Map(world.disk.files);
  world.disk.files.clear();
  t.same(await world.load([keyOf(1)]), [LOAD_STATUS.gone]);
  t.equal(said.length, 1);
  for (const [path, file] of files) world.disk.files.set(path, file);
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000)), 'its name shows late');
  await world.close();
});

t.test('a file whose size is not to be seen costs what is remembered of it, not the block', async (t) => {
  const world = new TierWorld({ payloadBytes: PAYLOAD_BYTES });
  await world.boot();
  await world.open();
  await world.store([blockOf(1, 5000)]);
  await world.tier.seal();
  const said: string[] = [];
  world.directory.removeAt = async () => said.push('removeAt') > 0;
  world.directory.removeGone = async () => said.push('removeGone') < 0;
  const [file] = world.disk.files.values();
  const { sizeBytes } = file!;
  file!.sizeBytes = 0;
  t.same(await world.load([keyOf(1)]), [LOAD_STATUS.corrupt]);
  t.same(said, ['removeGone']);
  file!.sizeBytes = sizeBytes;
  t.ok(sameBlock((await world.load([keyOf(1)]))[0], blockOf(1, 5000)), 'its size shows late');
  await world.close();
});
