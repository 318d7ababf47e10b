import {
  FRAME_FLAG,
  type Frame,
  KEY_WORDS,
  type NodeSession,
  PUT_ROW,
  PUT_ROW_WORDS,
  PUT_STATUS,
  type PutHints,
  readHints,
} from '@refill/interface';
import { copyWords } from '../fill-rows.ts';
import { checkRows } from './arguments.ts';

/** The hints of a put's frame, and at which word of its body the rows begin, which are as many as it says. */
export function hintedRows(frame: Frame, rowWords: number): { hints: PutHints | undefined; rowsAt: number } {
  if ((frame.flags & FRAME_FLAG.hinted) === 0) {
    checkRows(frame, rowWords * 4);
    return { hints: undefined, rowsAt: 0 };
  }
  const { hints, bytes } = readHints(frame.body());
  checkRows(frame, rowWords * 4, bytes);
  return { hints, rowsAt: bytes / 4 };
}

/** Ends the pins of a put from a region that nobody waits for any more. */
export function unpinStored(
  session: NodeSession,
  namespace: number,
  puts: Uint32Array,
  statuses: Uint32Array,
): void {
  const keys = new Uint32Array(statuses.length * KEY_WORDS);
  let count = 0;
  for (let i = 0; i < statuses.length; i++) {
    if (statuses[i] !== PUT_STATUS.stored) continue;
    copyWords(puts, i * PUT_ROW_WORDS + PUT_ROW.key, keys, count++ * KEY_WORDS, KEY_WORDS);
  }
  session.unpin(namespace, keys, count);
}
