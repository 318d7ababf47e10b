import { CONTROL_BYTES_MAX } from '@refill/interface';
import { PROTOCOL_BYTES_MAX } from './bounds.ts';

/**
 * Frames on a control stream, little-endian (`docs/internals/control.md`):
 * ```
 *  0  4  length    of the whole frame, header included
 *  4  1  kind      FRAME_KIND
 *  5  1  name      bytes of the protocol's name, in requests
 *  6  2  zero      reserved
 *  8  4  id        chosen by who asks; the answer carries it
 * 12  4  argument  deadline in ms of a request; error number of a refusal
 * 16     name, then body
 * ```
 */
export const HEADER_BYTES = 16;
export const FRAME_BYTES_MAX: number = HEADER_BYTES + PROTOCOL_BYTES_MAX + CONTROL_BYTES_MAX;

/** Numbers never change meaning. Those from 16 on are spoken before admission, and their layout never changes. */
export const FRAME_KIND = {
  request: 1,
  answer: 2,
  /** The request was refused: body is the message. */
  failure: 3,
  ping: 4,
  pong: 5,
  hello: 16,
  challenge: 17,
  proof: 18,
  admitted: 19,
  /** Admission was refused: body is the message. The stream ends. */
  refused: 20,
} as const;

/** A frame to send. `body` is borrowed until it is sent or dropped. */
export interface Frame {
  readonly kind: number;
  readonly id: number;
  readonly argument: number;
  readonly name: string;
  readonly body: Uint8Array;
}

const NOTHING = new Uint8Array(0);

export function frameOf(kind: number, fields: Partial<Omit<Frame, 'kind'>> = {}): Frame {
  return {
    kind,
    id: fields.id ?? 0,
    argument: fields.argument ?? 0,
    name: fields.name ?? '',
    body: fields.body ?? NOTHING,
  };
}

export function frameBytes(frame: Frame): number {
  return HEADER_BYTES + frame.name.length + frame.body.length;
}

/** Writes a frame at `at` and answers where the next begins. Names are ASCII. */
export function writeFrame(target: Buffer, at: number, frame: Frame): number {
  const length = frameBytes(frame);
  target.writeUInt32LE(length, at);
  target[at + 4] = frame.kind;
  target[at + 5] = frame.name.length;
  target.writeUInt16LE(0, at + 6);
  target.writeUInt32LE(frame.id, at + 8);
  target.writeUInt32LE(frame.argument, at + 12);
  target.write(frame.name, at + HEADER_BYTES, 'latin1');
  target.set(frame.body, at + HEADER_BYTES + frame.name.length);
  return at + length;
}
