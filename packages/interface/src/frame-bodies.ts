import { ERROR_CODES, errorCodeOf, RefillError } from './errors.ts';
import type { Frame } from './frame.ts';
import { type FrameWriter, fillBytes, utf8Of } from './frame-writer.ts';
import {
  ERROR_FRAME,
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_WORDS,
  REPLY_BIT,
  WIRE_MAGIC,
  WIRE_VERSION_MAX,
  WIRE_VERSION_MIN,
} from './wire.ts';

const fromUtf8 = new TextDecoder('utf-8', { fatal: true });
/** Longest message of an error frame: enough for a fix, too short to be a burden. */
const MESSAGE_BYTES_MAX = 4096;

/** Text of the body. Throws `ERR_PROTOCOL` when it is not there or no UTF-8. */
export function textOf(frame: Frame, fromByte: number, lengthBytes: number): string {
  if (fromByte + lengthBytes > frame.bodyBytes) {
    throw new RefillError(
      'ERR_PROTOCOL',
      `a text of ${lengthBytes} bytes does not fit a body of ${frame.bodyBytes}`,
    );
  }
  try {
    return fromUtf8.decode(frame.bytes(fromByte, lengthBytes));
  } catch (cause) {
    throw new RefillError('ERR_PROTOCOL', 'a text is not UTF-8', { cause });
  }
}

/** JSON of the body. Throws `ERR_PROTOCOL` when it is none. */
export function jsonOf(frame: Frame, fromByte: number, lengthBytes: number): unknown {
  const text = textOf(frame, fromByte, lengthBytes);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RefillError('ERR_PROTOCOL', 'a text is not JSON', { cause });
  }
}

/** `hello`, body of 16 bytes: magic (u32), lowest version (u16), highest version (u16), process id (u32), zero. */
export const HELLO_BYTES = 16;

export function writeHello(writer: FrameWriter, request: number, processId: number): void {
  const at = writer.begin(HELLO_BYTES);
  const body = at + FRAME_HEADER_WORDS;
  writer.words[body] = WIRE_MAGIC;
  writer.words[body + 1] = WIRE_VERSION_MIN | (WIRE_VERSION_MAX << 16);
  writer.words[body + 2] = processId;
  writer.end(writer.words, at, FRAME.hello, 0, request, 0, 0, 0, 0);
}

/** The version that both sides speak. Throws `ERR_PROTOCOL` for another magic, `ERR_VERSION` when there is none. */
export function readHello(frame: Frame): { version: number; processId: number } {
  if (frame.bodyBytes < HELLO_BYTES || frame.words[frame.bodyAt] !== WIRE_MAGIC) {
    throw new RefillError('ERR_PROTOCOL', 'the first frame is no hello of this protocol');
  }
  const versions = frame.words[frame.bodyAt + 1]!;
  const [lowest, highest] = [versions & 0xffff, versions >>> 16];
  if (lowest > WIRE_VERSION_MAX || highest < WIRE_VERSION_MIN) {
    throw new RefillError(
      'ERR_VERSION',
      `the client speaks versions ${lowest} to ${highest} of the protocol, this node ${WIRE_VERSION_MIN} to ${WIRE_VERSION_MAX}`,
      { fix: 'Use client and node of one release' },
    );
  }
  return { version: Math.min(highest, WIRE_VERSION_MAX), processId: frame.words[frame.bodyAt + 2]! };
}

/** What a node says of itself when a client connects. */
export interface Welcome {
  version: number;
  /** Epoch of the node: another epoch is another arena. */
  epoch: number;
  arenaBytes: number;
  /** The arena is mapped in panes of this size, the last one shorter; rows name a pane and an offset in it. */
  paneBytes: number;
  frameBytesMax: number;
  keysPerCallMax: number;
  blockBytesMax: number;
  deadlineMsMax: number;
  regionsMax: number;
  /** Requests the node works on at once for one connection; it stops reading beyond. */
  requestsMax: number;
  nodeName: string;
  clusterId: string;
  /** Unix socket that hands out the arena's file descriptor and takes the client's. */
  fdSocketPath: string;
}

/**
 * Reply to `hello`: fixed part of 80 bytes, then node name, cluster id and fd socket path in UTF-8, padded together.
 * ```
 *  0  4  magic            24  8  paneBytes        52  4  regionsMax
 *  4  2  version          32  4  zero             56  4  requestsMax
 *  6  2  zero             36  4  frameBytesMax    60  4  bytes of node name
 *  8  8  epoch            40  4  keysPerCallMax   64  4  bytes of cluster id
 * 16  8  arenaBytes       44  4  blockBytesMax    68  4  bytes of fd socket path
 *                         48  4  deadlineMsMax    72  8  zero
 * ```
 */
export const WELCOME_BYTES = 80;

export function writeWelcome(writer: FrameWriter, request: number, welcome: Welcome): void {
  const texts = [welcome.nodeName, welcome.clusterId, welcome.fdSocketPath].map(utf8Of);
  const at = writer.begin(WELCOME_BYTES + texts.reduce((sum, text) => sum + text.length, 0));
  const { words } = writer;
  const body = at + FRAME_HEADER_WORDS;
  words[body] = WIRE_MAGIC;
  words[body + 1] = welcome.version;
  putU64(words, body + 2, welcome.epoch);
  putU64(words, body + 4, welcome.arenaBytes);
  putU64(words, body + 6, welcome.paneBytes);
  words[body + 9] = welcome.frameBytesMax;
  words[body + 10] = welcome.keysPerCallMax;
  words[body + 11] = welcome.blockBytesMax;
  words[body + 12] = welcome.deadlineMsMax;
  words[body + 13] = welcome.regionsMax;
  words[body + 14] = welcome.requestsMax;
  let from = WELCOME_BYTES;
  for (const [i, text] of texts.entries()) {
    words[body + 15 + i] = text.length;
    fillBytes(words, at, text, from);
    from += text.length;
  }
  writer.end(words, at, FRAME.hello | REPLY_BIT, 0, request, 0, 0, 0, 0);
}

export function readWelcome(frame: Frame): Welcome {
  const { words, bodyAt: body } = frame;
  if (frame.bodyBytes < WELCOME_BYTES || words[body] !== WIRE_MAGIC) {
    throw new RefillError('ERR_PROTOCOL', 'the other side of the socket is no Refill node');
  }
  const [name, cluster, path] = [words[body + 15]!, words[body + 16]!, words[body + 17]!];
  return {
    version: words[body + 1]! & 0xffff,
    epoch: getU64(words, body + 2),
    arenaBytes: getU64(words, body + 4),
    paneBytes: getU64(words, body + 6),
    frameBytesMax: words[body + 9]!,
    keysPerCallMax: words[body + 10]!,
    blockBytesMax: words[body + 11]!,
    deadlineMsMax: words[body + 12]!,
    regionsMax: words[body + 13]!,
    requestsMax: words[body + 14]!,
    nodeName: textOf(frame, WELCOME_BYTES, name),
    clusterId: textOf(frame, WELCOME_BYTES + name, cluster),
    fdSocketPath: textOf(frame, WELCOME_BYTES + name + cluster, path),
  };
}

/** Error frame for any failure: `RefillError`s keep code and errno, wrong arguments are `ERR_INVALID_ARGUMENT`, the rest `ERR_INTERNAL`. */
export function writeError(
  writer: FrameWriter,
  request: number,
  error: unknown,
  options: { fatal?: boolean } = {},
): void {
  const message = utf8Of(error instanceof Error ? error.message : String(error)).subarray(
    0,
    MESSAGE_BYTES_MAX,
  );
  const code =
    error instanceof RefillError
      ? error.code
      : error instanceof TypeError || error instanceof RangeError
        ? 'ERR_INVALID_ARGUMENT'
        : 'ERR_INTERNAL';
  const at = writer.begin(8 + message.length);
  const { words } = writer;
  words[at + FRAME_HEADER_WORDS] = error instanceof RefillError ? (error.errno ?? 0) : 0;
  fillBytes(words, at, message, 8);
  const flags = options.fatal ? FRAME_FLAG.fatal : 0;
  writer.end(words, at, ERROR_FRAME, flags, request, 0, 0, message.length, ERROR_CODES[code]);
}

export function readError(frame: Frame): RefillError {
  if (frame.bodyBytes < 8 + frame.count) {
    return new RefillError('ERR_PROTOCOL', 'an error frame is shorter than its message');
  }
  const errno = frame.words[frame.bodyAt]!;
  const message = new TextDecoder().decode(frame.bytes(8, frame.count));
  return new RefillError(errorCodeOf(frame.argument), message, errno === 0 ? {} : { errno });
}

/** Unsigned 64-bit number in two words; exact up to 2^53, which is beyond every size here. */
export function putU64(words: Uint32Array, at: number, value: number): void {
  words[at] = value % 2 ** 32;
  words[at + 1] = Math.floor(value / 2 ** 32);
}

/** Throws `ERR_PROTOCOL` above 2^53. */
export function getU64(words: Uint32Array, at: number): number {
  const value = words[at + 1]! * 2 ** 32 + words[at]!;
  if (value > Number.MAX_SAFE_INTEGER) throw new RefillError('ERR_PROTOCOL', 'a number is above 2^53');
  return value;
}
