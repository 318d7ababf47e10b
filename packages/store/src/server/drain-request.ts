import { FRAME_FLAG, type Frame, getU64, HOT_BYTES_MAX, RefillError } from '@refill/interface';
import { answerJson } from './answers.ts';
import { checkBody, deadlineOf } from './arguments.ts';
import type { ServerConnection } from './connection.ts';

/** Any client of this machine's socket may send its node away, as whoever may signal its process can. */
export function drainRequest(connection: ServerConnection, frame: Frame): void {
  checkBody(frame, 8);
  const hotBytes = getU64(frame.body(), 0);
  if (hotBytes > HOT_BYTES_MAX) {
    throw new RefillError(
      'ERR_INVALID_ARGUMENT',
      `hotBytes is ${hotBytes}, at most ${HOT_BYTES_MAX} may be asked for`,
    );
  }
  const stay = (frame.flags & FRAME_FLAG.stay) !== 0;
  const deadlineMs = deadlineOf(frame);
  answerJson(connection, frame, connection.parts.node.drain({ hotBytes, deadlineMs, stay }));
}
