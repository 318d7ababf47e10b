import t from 'tap';
import { type Frame, frameBytes, frameOf, writeFrame } from '../../packages/control/src/frame.ts';
import { FrameReader } from '../../packages/control/src/frame-reader.ts';
import { seededRandom } from '../fixtures/seeded-random.ts';

function bytesOf(frames: readonly Frame[]): Buffer {
  const bytes = Buffer.alloc(frames.reduce((sum, frame) => sum + frameBytes(frame), 0));
  let at = 0;
  for (const frame of frames) at = writeFrame(bytes, at, frame);
  return bytes;
}

t.test('frames come out as they went in, wherever the stream is cut', async (t) => {
  const random = seededRandom(t);
  const frames = Array.from({ length: 50 }, (_, i) =>
    frameOf(1 + (i % 5), {
      id: i,
      argument: i * 1000,
      name: 'n'.repeat(i % 40),
      body: new Uint8Array(Math.floor(random() * 600)).map(() => random() * 256),
    }),
  );
  const bytes = bytesOf(frames);
  for (const most of [1, 3, 17, 200, bytes.length]) {
    const reader = new FrameReader();
    const found: Frame[] = [];
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(random() * most);
      reader.push(bytes.subarray(at, at + size), (frame) => found.push(frame));
      at += size;
    }
    t.same(found, frames);
    t.ok(found.every(({ body }) => body.byteOffset === 0 && body.buffer.byteLength === body.length));
  }
});

t.test(
  'a length that cannot be, or a reserved bit, is refused before a byte is allocated for it',
  async (t) => {
    const good = bytesOf([frameOf(1, { name: 'name', body: new Uint8Array(8) })]);
    const damages: ((bytes: Buffer) => void)[] = [
      (bytes) => bytes.writeUInt32LE(1025, 0),
      (bytes) => bytes.writeUInt32LE(0xffff_ffff, 0),
      (bytes) => bytes.writeUInt32LE(0, 0),
      (bytes) => bytes.writeUInt32LE(19, 0),
      (bytes) => bytes.writeUInt16LE(1, 6),
    ];
    for (const damage of damages) {
      const bytes = Buffer.from(good);
      damage(bytes);
      t.throws(() => new FrameReader().push(bytes, () => t.fail('no frame')), { code: 'ERR_PROTOCOL' });
    }
  },
);
