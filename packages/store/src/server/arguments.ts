import {
  DEADLINE_MS_DEFAULT,
  DEADLINE_MS_MAX,
  FRAME_BYTES_MAX,
  FRAME_FLAGS_KNOWN,
  FRAME_WORD,
  type Frame,
  frameName,
  KEYS_PER_CALL_MAX,
  padded,
  RefillError,
} from '@refill/interface';
import type { ServerConnection } from './connection.ts';

/** Throws `ERR_PROTOCOL` for a header that no client of this version writes. */
export function checkHeader(frame: Frame): void {
  const unknownFlags = frame.flags & ~FRAME_FLAGS_KNOWN;
  if (unknownFlags !== 0) {
    throw new RefillError('ERR_PROTOCOL', `flags 0x${unknownFlags.toString(16)} are unknown`);
  }
  if (frame.words[frame.at + FRAME_WORD.zero] !== 0) {
    throw new RefillError('ERR_PROTOCOL', 'the reserved word of a header is not zero');
  }
}

/** Throws `ERR_NAMESPACE_UNKNOWN` unless this connection opened the frame's namespace. */
export function checkNamespace(connection: ServerConnection, frame: Frame): void {
  if (connection.namespaces.has(frame.namespace)) return;
  throw new RefillError(
    'ERR_NAMESPACE_UNKNOWN',
    `namespace ${frame.namespace} was not opened on this connection`,
    { fix: 'Open it first: namespaces belong to a connection' },
  );
}

/** Throws `ERR_PROTOCOL` unless the body is as long as `count` entries of `entryBytes` behind `headBytes` make it. */
export function checkRows(frame: Frame, entryBytes: number, headBytes = 0): void {
  if (frame.count > KEYS_PER_CALL_MAX) {
    throw new RefillError(
      'ERR_INVALID_ARGUMENT',
      `${frameName(frame.type)} has ${frame.count} entries, at most ${KEYS_PER_CALL_MAX} go into one call; split it`,
    );
  }
  checkBody(frame, headBytes + frame.count * entryBytes);
}

export function checkBody(frame: Frame, bytes: number): void {
  // Beyond the longest frame rounding would wrap.
  if (bytes <= FRAME_BYTES_MAX && frame.bodyBytes === padded(bytes)) return;
  throw new RefillError(
    'ERR_PROTOCOL',
    `${frameName(frame.type)} has a body of ${frame.bodyBytes} bytes, its header says ${bytes}`,
  );
}

/** The deadline of a request in milliseconds. */
export function deadlineOf(frame: Frame): number {
  const { deadlineMs } = frame;
  if (deadlineMs > DEADLINE_MS_MAX) {
    throw new RefillError(
      'ERR_INVALID_ARGUMENT',
      `deadlineMs is ${deadlineMs}, at most ${DEADLINE_MS_MAX} may be asked for`,
    );
  }
  return deadlineMs === 0 ? DEADLINE_MS_DEFAULT : deadlineMs;
}
