import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  DEADLINE_MS_MAX,
  ERROR_FRAME,
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_BYTES,
  Frame,
  FrameReader,
  FrameWriter,
  frameName,
  getU64,
  hintBytes,
  type PutHints,
  padded,
  putU64,
  READ_ROW_WORDS,
  REPLY_BIT,
  RESERVE_ROW_WORDS,
  RefillError,
  readError,
  readHello,
  readWelcome,
  type Welcome,
  writeError,
  writeHello,
  writeHints,
  writeWelcome,
} from '@refill/interface';
import t from 'tap';
import { FINGERPRINT } from '../fixtures/served-double.ts';
import { type FrameFields, frameOf, helloFrame, withWord } from '../fixtures/wire-client.ts';

const WELCOME: Welcome = {
  version: 1,
  epoch: 2 ** 40 + 7,
  arenaBytes: 5 * 1024 ** 3,
  paneBytes: 1024 ** 3,
  frameBytesMax: 2 * 1024 ** 2,
  keysPerCallMax: 16_384,
  blockBytesMax: 256 * 1024 ** 2,
  deadlineMsMax: DEADLINE_MS_MAX,
  regionsMax: 64,
  requestsMax: 1024,
  nodeName: 'node-1',
  clusterId: 'cluster-é',
  fdSocketPath: '/run/refill/fd.sock',
};

function read(bytes: Uint8Array): Frame {
  let found: Frame | undefined;
  new FrameReader((frame) => {
    found = new Frame(frame.words.slice(frame.at, frame.at + frame.lengthBytes / 4));
  }).push(bytes);
  return found!;
}

function written(write: (writer: FrameWriter) => void): Uint8Array {
  const writer = new FrameWriter();
  write(writer);
  return writer.take()[0]!;
}

const key = Uint8Array.from({ length: 32 }, (_, i) => i);
const keyThenPlace = new Uint8Array(44);
keyThenPlace.set(key);
keyThenPlace.set([0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], 32);
const putRow = new Uint8Array(80);
putRow.set(key);
putRow.set([0, 0, 1, 0, 16, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0], 64);
const text = new TextEncoder().encode(
  JSON.stringify({ fingerprint: FINGERPRINT, policy: { compress: false } }),
);
const readRow = new Uint8Array(READ_ROW_WORDS * 4);
readRow.set([1, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 16]);

const reply = (type: number, fields: Partial<FrameFields> = {}): Uint8Array =>
  frameOf({ type: type | REPLY_BIT, request: 5, ...fields });
const ofKeys = (type: number): Uint8Array =>
  frameOf({ type, request: 5, deadlineMs: 100, namespace: 1, count: 1, body: key });
const statusText = new TextEncoder().encode('{"nodeName":"node-1"}');
const locateText = new TextEncoder().encode(
  '[{"node":"a","prefixBlocks":1,"blocks":1,"tiers":{"dram":1},"addresses":["/ip4/10.0.0.1/tcp/7400"]}]',
);
const explainText = new TextEncoder().encode(
  '{"keys":1,"misses":0,"sources":[],"plan":[{"name":"dram","tier":"dram","blocks":1,"bytes":65536,"estimatedMs":0}],"estimatedMs":0}',
);
const drainText = new TextEncoder().encode('{"phase":"done","isComplete":true}');
const HINTS: PutHints = { ttlMs: 600_000, tier: 'shared', replicas: 2, pin: true, node: 'gpu-17' };

/** Rows behind hints. */
function hinted(rows: Uint8Array): Uint8Array {
  const body = new Uint8Array(hintBytes(HINTS) + rows.length);
  writeHints(new Uint32Array(body.buffer, 0, hintBytes(HINTS) / 4), 0, HINTS);
  body.set(rows, hintBytes(HINTS));
  return body;
}

const regionName = new Uint8Array(8 + 10);
regionName.set([0, 0, 16]);
regionName.set(new TextEncoder().encode('/dev/shm/x'), 8);
const tokenName = new Uint8Array(8 + 16);
tokenName.set([0, 0, 16]);
tokenName.set(key.subarray(0, 16), 8);
const slot = new Uint8Array([42, 0, 0, 0]);
const putThenPlace = new Uint8Array(92);
putThenPlace.set(putRow);
putThenPlace.set([0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], 80);
const namespaceReply = new Uint8Array(16 + text.length);
namespaceReply.set(key.subarray(16), 0);
namespaceReply.set(text, 16);
const reserveRow = new Uint8Array(RESERVE_ROW_WORDS * 4);
reserveRow.set([0, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);

/**
 * One frame of every kind, as version 1 writes it: requests by the name of their type, replies with `-reply` behind
 * it. Old ones stay: today's code must go on reading them.
 */
const GOLDEN: Record<string, Uint8Array> = {
  hello: written((writer) => writeHello(writer, 1, 1234)),
  welcome: written((writer) => writeWelcome(writer, 1, WELCOME)),
  namespace: frameOf({ type: FRAME.namespace, request: 2, count: text.length, body: text }),
  'namespace-reply': reply(FRAME.namespace, { namespace: 1, count: text.length, body: namespaceReply }),
  reserve: frameOf({ type: FRAME.reserve, request: 3, namespace: 1, count: 1, body: putRow }),
  'reserve-reply': reply(FRAME.reserve, { count: 1, body: reserveRow }),
  commit: frameOf({
    type: FRAME.commit,
    flags: FRAME_FLAG.shared,
    request: 4,
    deadlineMs: 250,
    count: 1,
    body: slot,
  }),
  'commit-reply': reply(FRAME.commit, { count: 1, body: new Uint8Array(4) }),
  abort: frameOf({ type: FRAME.abort, count: 1, body: slot }),
  putFrom: frameOf({
    type: FRAME.putFrom,
    flags: FRAME_FLAG.shared,
    request: 5,
    deadlineMs: 250,
    namespace: 1,
    count: 1,
    argument: 9,
    body: putThenPlace,
  }),
  'putFrom-reply': reply(FRAME.putFrom, { count: 1, body: new Uint8Array([1, 0, 0, 0]) }),
  get: ofKeys(FRAME.get),
  'get-reply': reply(FRAME.get, { count: 1, body: readRow }),
  getInto: frameOf({
    type: FRAME.getInto,
    request: 6,
    namespace: 1,
    count: 1,
    argument: 9,
    body: keyThenPlace,
  }),
  'getInto-reply': reply(FRAME.getInto, { count: 1, body: readRow }),
  release: frameOf({ type: FRAME.release, count: 1, body: slot }),
  match: ofKeys(FRAME.match),
  'match-reply': reply(FRAME.match, { count: 1 }),
  exists: ofKeys(FRAME.exists),
  'exists-reply': reply(FRAME.exists, { count: 1, body: new Uint8Array([1]) }),
  prefetch: ofKeys(FRAME.prefetch),
  'prefetch-reply': reply(FRAME.prefetch, { count: 1 }),
  pin: ofKeys(FRAME.pin),
  'pin-reply': reply(FRAME.pin, { count: 1 }),
  unpin: ofKeys(FRAME.unpin),
  'unpin-reply': reply(FRAME.unpin, { count: 1 }),
  touch: ofKeys(FRAME.touch),
  'touch-reply': reply(FRAME.touch),
  delete: ofKeys(FRAME.delete),
  'delete-reply': reply(FRAME.delete, { count: 1 }),
  flush: frameOf({ type: FRAME.flush, request: 5, deadlineMs: 100 }),
  'flush-reply': reply(FRAME.flush),
  status: frameOf({ type: FRAME.status, request: 5 }),
  'status-reply': reply(FRAME.status, { count: statusText.length, body: statusText }),
  registerRegion: frameOf({ type: FRAME.registerRegion, request: 5, count: 10, body: regionName }),
  'registerRegion-token': frameOf({
    type: FRAME.registerRegion,
    flags: FRAME_FLAG.token,
    request: 5,
    count: 16,
    body: tokenName,
  }),
  'registerRegion-reply': reply(FRAME.registerRegion, { argument: 9 }),
  unregisterRegion: frameOf({ type: FRAME.unregisterRegion, request: 5, argument: 9 }),
  'unregisterRegion-reply': reply(FRAME.unregisterRegion),
  cancel: frameOf({ type: FRAME.cancel, argument: 5 }),
  awaitStored: ofKeys(FRAME.awaitStored),
  'awaitStored-reply': reply(FRAME.awaitStored, { count: 1, body: new Uint8Array([1, 0, 0, 0]) }),
  lookup: ofKeys(FRAME.lookup),
  'lookup-reply': reply(FRAME.lookup, {
    count: 1,
    body: new Uint8Array([4, 0, 0, 0, 0, 0, 1, 0, 16, 0, 0, 0, 0xdc, 5, 0, 0]),
  }),
  locate: frameOf({
    type: FRAME.locate,
    request: 5,
    deadlineMs: 100,
    namespace: 1,
    count: 1,
    argument: 4,
    body: key,
  }),
  'locate-reply': reply(FRAME.locate, { count: locateText.length, body: locateText }),
  explain: ofKeys(FRAME.explain),
  'explain-reply': reply(FRAME.explain, { count: explainText.length, body: explainText }),
  acquireFill: frameOf({
    type: FRAME.acquireFill,
    request: 5,
    deadlineMs: 100,
    namespace: 1,
    count: 1,
    argument: 2000,
    body: key,
  }),
  'acquireFill-reply': reply(FRAME.acquireFill, {
    count: 1,
    argument: 7,
    body: new Uint8Array([1, 0, 0, 0, 0xdc, 5, 0, 0]),
  }),
  awaitFill: ofKeys(FRAME.awaitFill),
  'awaitFill-reply': reply(FRAME.awaitFill, { count: 1 }),
  releaseFill: frameOf({ type: FRAME.releaseFill, argument: 7 }),
  'commit-hinted': frameOf({
    type: FRAME.commit,
    flags: FRAME_FLAG.shared | FRAME_FLAG.hinted,
    request: 4,
    deadlineMs: 250,
    count: 1,
    body: hinted(slot),
  }),
  'putFrom-hinted': frameOf({
    type: FRAME.putFrom,
    flags: FRAME_FLAG.hinted,
    request: 5,
    namespace: 1,
    count: 1,
    argument: 9,
    body: hinted(putThenPlace),
  }),
  drain: frameOf({
    type: FRAME.drain,
    flags: FRAME_FLAG.stay,
    request: 5,
    deadlineMs: 60_000,
    body: new Uint8Array([0, 0, 0, 64, 0, 0, 0, 0]),
  }),
  'drain-reply': reply(FRAME.drain, { count: drainText.length, body: drainText }),
  error: written((writer) =>
    writeError(writer, 6, new RefillError('ERR_STORAGE_FULL', 'disk full', { errno: 28 }), { fatal: true }),
  ),
};
const WITHOUT_REPLY = ['abort', 'release', 'cancel', 'releaseFill'];

const folder = new URL('../golden/wire-v1/', import.meta.url);

t.test('frames are written as version 1 wrote them', async (t) => {
  for (const [name, bytes] of Object.entries(GOLDEN)) {
    const file = new URL(`${name}.hex`, folder);
    if (process.env.REFILL_WRITE_GOLDEN) writeFileSync(file, hexOf(bytes));
    t.equal(hexOf(bytes), readFileSync(file, 'utf8'), name);
  }
  t.equal(readdirSync(folder).length, Object.keys(GOLDEN).length, 'every golden file is compared');
});

t.test('the worked example of the documentation is what is written', async (t) => {
  const page = readFileSync(new URL('../../docs/internals/wire-format.md', import.meta.url), 'utf8');
  const examples = [...page.matchAll(/<!-- golden: ([\w-]+) -->\n```\n([\s\S]*?)```/g)];
  t.ok(examples.length >= 3);
  for (const [, name, listing] of examples) {
    const hex = [...listing!.matchAll(/^[0-9a-f]{4} {2}((?:[0-9a-f]{2} ?)+)/gm)].map((match) =>
      match[1]!.trim(),
    );
    t.equal(hex.join(' '), hexOf(GOLDEN[name!]!).trim().replaceAll('\n', ' '), name!);
  }
});

t.test('every frame type has its golden frame, and one of its reply', async (t) => {
  for (const [name, type] of Object.entries(FRAME)) {
    t.equal(read(readGolden(name)).type, type, name);
    if (WITHOUT_REPLY.includes(name)) t.notOk(`${name}-reply` in GOLDEN, `${name} has no reply`);
    else t.equal(read(readGolden(name === 'hello' ? 'welcome' : `${name}-reply`)).type, type | REPLY_BIT);
  }
});

t.test('every frame type is in the table of the documentation, and no other', async (t) => {
  const page = readFileSync(new URL('../../docs/internals/wire-format.md', import.meta.url), 'utf8');
  for (const [name, type] of Object.entries(FRAME)) {
    t.match(page, new RegExp(`^\\| ${type} \\| \`${name}\` \\|`, 'm'), name);
  }
  t.equal([...page.matchAll(/^\| \d+ \| `\w+` \|/gm)].length, Object.keys(FRAME).length);
});

t.test('hello and welcome say the same on both sides', async (t) => {
  t.same(readHello(read(helloFrame())), { version: 1, processId: 1234 });
  t.same(readWelcome(read(GOLDEN.welcome!)), WELCOME);
});

t.test('another protocol and another version are told apart', async (t) => {
  const hello = helloFrame();
  const otherMagic = hello.slice();
  otherMagic[FRAME_HEADER_BYTES] = 0;
  t.throws(() => readHello(read(otherMagic)), { code: 'ERR_PROTOCOL' });
  const newer = hello.slice();
  newer.set([2, 0, 3, 0], FRAME_HEADER_BYTES + 4);
  t.throws(() => readHello(read(newer)), { code: 'ERR_VERSION', message: /versions 2 to 3/ });
  const wider = hello.slice();
  wider.set([1, 0, 9, 0], FRAME_HEADER_BYTES + 4);
  t.equal(readHello(read(wider)).version, 1, 'the highest that both speak');
  t.throws(() => readHello(read(frameOf({ type: FRAME.hello, request: 1 }))), { code: 'ERR_PROTOCOL' });
  t.throws(() => readWelcome(read(otherMagic)), { code: 'ERR_PROTOCOL' });
  const longName = GOLDEN.welcome!.slice();
  new DataView(longName.buffer).setUint32(FRAME_HEADER_BYTES + 60, 5000, true);
  t.throws(() => readWelcome(read(longName)), { code: 'ERR_PROTOCOL' });
});

t.test('errors keep code, errno and message', async (t) => {
  const error = readError(read(GOLDEN.error!));
  t.match(error, { code: 'ERR_STORAGE_FULL', errno: 28, message: 'disk full' });
  const wrong = written((writer) => writeError(writer, 1, new TypeError('keys must be a list')));
  t.match(readError(read(wrong)), { code: 'ERR_INVALID_ARGUMENT', message: 'keys must be a list' });
  const bug = written((writer) => writeError(writer, 1, new Error('invariant broken: x')));
  t.match(readError(read(bug)), { code: 'ERR_INTERNAL' });
  const long = written((writer) => writeError(writer, 1, new Error('x'.repeat(100_000))));
  t.ok(long.length < 5_000, 'a message has a bound');
  const short = withWord(GOLDEN.error!, 'count', 5_000);
  t.equal(readError(read(short)).code, 'ERR_PROTOCOL');
});

t.test('frames ended out of order leave in the order of their ends, in as few parts as can be', async (t) => {
  const writer = new FrameWriter();
  const [a, b, c] = [writer.begin(8), writer.begin(8), writer.begin(8)];
  const { words } = writer;
  const end = (at: number, request: number) => writer.end(words, at, FRAME.status, 0, request, 0, 0, 0, 0);
  end(b, 2);
  end(c, 3);
  end(a, 1);
  t.equal(writer.queuedBytes, 120);
  const parts = writer.take();
  t.same(
    parts.map((part) => part.length),
    [80, 40],
  );
  t.same(writer.take(), []);
  const requests: number[] = [];
  const reader = new FrameReader((frame) => requests.push(frame.request));
  for (const part of parts) reader.push(part);
  t.same(requests, [2, 3, 1]);
});

t.test('memory of a frame is never written twice', async (t) => {
  const writer = new FrameWriter();
  const kept: { words: Uint32Array; at: number }[] = [];
  for (let i = 0; i < 5_000; i++) {
    const at = writer.begin(i % 500);
    kept.push({ words: writer.words, at });
    writer.end(writer.words, at, FRAME.status, 0, i + 1, 0, 0, 0, 0);
    if (i % 7 === 0) writer.take();
  }
  for (const [i, { words, at }] of kept.entries()) {
    if (new Frame(words, at).request !== i + 1) t.fail(`frame ${i} was overwritten`);
  }
  writer.begin(100_000);
  t.equal(writer.words.byteLength, 100_032, 'a long frame has memory of its own');
});

t.test('64-bit numbers are exact up to 2^53 and refused above', async (t) => {
  const words = new Uint32Array(2);
  for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    putU64(words, 0, value);
    t.equal(getU64(words, 0), value);
  }
  words.fill(0xffffffff);
  t.throws(() => getU64(words, 0), { code: 'ERR_PROTOCOL' });
});

t.test('names and padding', async (t) => {
  t.equal(frameName(FRAME.get | REPLY_BIT), 'get');
  t.equal(frameName(999), 'type 999');
  t.equal(ERROR_FRAME, 0x8000);
  t.same([0, 1, 8, 9].map(padded), [0, 8, 8, 16]);
});

/** The bytes of a golden file, not those that today's code writes. */
function readGolden(name: string): Uint8Array {
  return Buffer.from(readFileSync(new URL(`${name}.hex`, folder), 'utf8').replaceAll(/\s/g, ''), 'hex');
}

function hexOf(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    lines.push(
      Array.from(bytes.subarray(at, at + 16), (byte) => byte.toString(16).padStart(2, '0')).join(' '),
    );
  }
  return `${lines.join('\n')}\n`;
}
