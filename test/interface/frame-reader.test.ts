import { FRAME, FRAME_BYTES_MAX, type Frame, FrameReader, RefillError } from '@refill/interface';
import t from 'tap';
import { seededRandom } from '../fixtures/seeded-random.ts';
import { frameOf, withWord } from '../fixtures/wire-client.ts';

/** Reads a stream in chunks and copies what comes out. */
function collect(
  stream: Uint8Array,
  chunkAt: (at: number) => number,
): { frames: Buffer[]; aligned: boolean } {
  const frames: Buffer[] = [];
  let aligned = true;
  const reader = new FrameReader((frame: Frame) => {
    aligned &&= (frame.words.byteOffset + frame.bodyAt * 4) % 8 === 0;
    frames.push(Buffer.from(frame.words.slice(frame.at, frame.at + frame.lengthBytes / 4).buffer));
  });
  for (let at = 0; at < stream.length; ) {
    const length = Math.min(chunkAt(at), stream.length - at);
    // A memory of its own at every alignment, as sockets give it.
    const chunk = new Uint8Array(length + 8).subarray(at % 8, (at % 8) + length);
    chunk.set(stream.subarray(at, at + length));
    reader.push(chunk);
    at += length;
  }
  return { frames, aligned };
}

const FRAMES = [
  frameOf({ type: FRAME.status, request: 1 }),
  frameOf({ type: FRAME.get, request: 2, count: 3, body: new Uint8Array(96).fill(7) }),
  frameOf({ type: FRAME.release, count: 1, body: new Uint8Array([1, 0, 0, 0]) }),
  frameOf({ type: FRAME.exists, request: 3, count: 300, body: new Uint8Array(9600).fill(9) }),
  frameOf({ type: FRAME.flush, request: 4 }),
];
const STREAM = new Uint8Array(Buffer.concat(FRAMES));

t.test('frames come out whole and aligned wherever chunks begin and end', async (t) => {
  for (let size = 1; size < 200; size++) {
    const { frames, aligned } = collect(STREAM, () => size);
    t.ok(
      aligned && frames.length === FRAMES.length && Buffer.concat(frames).equals(STREAM),
      `chunks of ${size}`,
    );
  }
  for (let first = 1; first < STREAM.length; first += 7) {
    const { frames } = collect(STREAM, (at) => (at === 0 ? first : STREAM.length));
    if (!Buffer.concat(frames).equals(STREAM)) t.fail(`first chunk of ${first}`);
  }
  const random = seededRandom(t);
  for (let round = 0; round < 200; round++) {
    const { frames } = collect(STREAM, () => 1 + Math.floor(random() * 600));
    if (!Buffer.concat(frames).equals(STREAM)) t.fail(`random chunks, round ${round}`);
  }
});

t.test('a frame that lies whole in an aligned chunk is read in place', async (t) => {
  const chunk = STREAM.slice();
  const reader = new FrameReader((frame) => t.equal(frame.words.buffer, chunk.buffer));
  reader.push(chunk);
  t.equal(reader.heldBytes, 0);
});

t.test('a length that cannot be is refused before memory is taken for it', async (t) => {
  for (const length of [0, 8, 31, 33, FRAME_BYTES_MAX + 8, 0xfffffff8]) {
    for (const drip of [1, 32]) {
      const reader = new FrameReader(() => t.fail('no frame'));
      const bytes = withWord(FRAMES[0]!, 'length', length);
      const push = () => {
        for (let at = 0; at < bytes.length; at += drip) reader.push(bytes.slice(at, at + drip));
      };
      t.throws(push, { code: 'ERR_PROTOCOL' }, `length ${length}`);
      t.ok(reader.heldBytes <= 4096);
      t.throws(() => reader.push(FRAMES[0]!), { code: 'ERR_PROTOCOL' }, 'the stream stays refused');
    }
  }
});

t.test('memory for assembling is reused, unless it was given away or is large', async (t) => {
  const seen: Uint32Array[] = [];
  let give = false;
  const reader = new FrameReader((frame) => {
    seen.push(frame.words);
    if (give) reader.giveAway();
  });
  const drip = (bytes: Uint8Array) => {
    for (const byte of bytes) reader.push(new Uint8Array([byte]));
  };
  drip(FRAMES[1]!);
  drip(FRAMES[1]!);
  t.equal(seen[0], seen[1]);
  give = true;
  drip(FRAMES[1]!);
  drip(FRAMES[1]!);
  t.equal(seen[1], seen[2]);
  t.not(seen[2], seen[3], 'what was given away is not written again');
  give = false;
  drip(FRAMES[3]!);
  t.equal(reader.heldBytes, 0, 'a large frame leaves nothing behind');
});

t.test('an end inside a frame shows', async (t) => {
  const reader = new FrameReader(() => undefined);
  reader.push(STREAM.slice(0, 40));
  t.equal(reader.pendingBytes, 8);
  reader.push(STREAM.slice(40));
  t.equal(reader.pendingBytes, 0);
});

t.test('no stream makes it crash or hold more than one frame', async (t) => {
  const random = seededRandom(t);
  const rounds = Number(process.env.REFILL_FUZZ_FRAMES ?? 100_000) / FRAMES.length;
  let refused = 0;
  for (let round = 0; round < rounds; round++) {
    const stream = STREAM.slice();
    const changes = Math.floor(random() * 4);
    for (let i = 0; i < changes; i++)
      stream[Math.floor(random() * stream.length)] = Math.floor(random() * 256);
    const reader = new FrameReader((frame) => {
      if (frame.lengthBytes < 32 || frame.at + frame.lengthBytes / 4 > frame.words.length)
        t.fail('out of bounds');
    });
    try {
      for (let at = 0; at < stream.length; ) {
        const length = 1 + Math.floor(random() * 8192);
        reader.push(stream.subarray(at, at + length));
        at += length;
      }
    } catch (error) {
      if (!(error instanceof RefillError) || error.code !== 'ERR_PROTOCOL') throw error;
      refused++;
    }
    if (reader.heldBytes > FRAME_BYTES_MAX) t.fail(`${reader.heldBytes} bytes held`);
  }
  t.ok(refused > 0, `${refused} of ${rounds} streams refused`);
});

t.test('a buffer that is filled in part is read up to its end only', (t) => {
  const requests: number[] = [];
  const reader = new FrameReader((frame) => requests.push(frame.request));
  const words = new Uint32Array(16);
  for (const [i, at] of [0, 8].entries()) {
    words[at] = 32;
    words[at + 1] = 16;
    words[at + 2] = i + 1;
  }
  const buffer = new Uint8Array(words.buffer);
  reader.push(buffer, 32);
  t.strictSame(requests, [1]);
  reader.push(buffer.subarray(32), 20);
  t.equal(reader.pendingBytes, 20);
  reader.push(buffer.subarray(52), 12);
  t.strictSame(requests, [1, 2]);
  t.end();
});

t.test('a frame in the chunk cannot be given away, an assembled one can', (t) => {
  const given: boolean[] = [];
  const reader = new FrameReader(() => given.push(reader.giveAway()));
  const words = new Uint32Array(8);
  words[0] = 32;
  words[1] = 16;
  words[2] = 1;
  const chunk = new Uint8Array(words.buffer);
  reader.push(chunk);
  reader.push(chunk.subarray(0, 12));
  reader.push(chunk.subarray(12));
  t.strictSame(given, [false, true]);
  t.end();
});
