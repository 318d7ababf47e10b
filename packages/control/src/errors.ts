import { ERROR_CODES, errorCodeOf, type PeerName, RefillError } from '@refill/interface';
import { FRAME_KIND, type Frame, frameOf } from './frame.ts';

/** The error that a `failure` or `refused` frame carries. */
export function errorOf(frame: Frame): RefillError {
  return new RefillError(errorCodeOf(frame.argument), new TextDecoder().decode(frame.body));
}

/** What a handler threw, as a frame: anything but a `RefillError` keeps its message to itself. */
export function failureOf(id: number, protocol: string, error: unknown): Frame {
  const known = error instanceof RefillError;
  const code = known ? error.code : 'ERR_INTERNAL';
  const message = known ? error.message : `the handler of ${protocol} failed`;
  return frameOf(FRAME_KIND.failure, {
    id,
    argument: ERROR_CODES[code],
    body: new TextEncoder().encode(message.slice(0, MESSAGE_CHARACTERS_MAX)),
  });
}

/** A failure's message is for people: one that is longer is cut. */
const MESSAGE_CHARACTERS_MAX = 4096;

export function unreachable(peer: PeerName, why: unknown): RefillError {
  const reason = why instanceof Error ? why.message : 'the connection broke';
  return new RefillError('ERR_PEER_UNREACHABLE', `${peer} cannot be reached: ${reason}`, { cause: why });
}

export function closed(): RefillError {
  return new RefillError('ERR_NODE_CLOSED', 'control is not started, or has stopped');
}
