import {
  FD_TOKEN_BYTES,
  FRAME_FLAG,
  type Frame,
  getU64,
  REGIONS_PER_CLIENT_MAX,
  RefillError,
  textOf,
} from '@refill/interface';
import { answerEmpty, headerOf } from './answers.ts';
import { checkBody } from './arguments.ts';
import type { PassedFd, ServerConnection } from './connection.ts';

export function registerRegion(connection: ServerConnection, frame: Frame): void {
  checkBody(frame, 8 + frame.count);
  const header = headerOf(frame);
  const sizeBytes = getU64(frame.words, frame.bodyAt);
  if (connection.regions >= REGIONS_PER_CLIENT_MAX) {
    throw new RefillError('ERR_LIMIT', `a client may register ${REGIONS_PER_CLIENT_MAX} regions`, {
      fix: 'Unregister one, or register one larger region',
    });
  }
  const source = sourceOf(connection, frame);
  connection.regions++;
  const work = connection.session
    .registerRegion(source, sizeBytes)
    .catch((error: unknown) => {
      connection.regions--;
      throw error;
    })
    // The engine has a descriptor of its own; without this the client's memory would outlive it.
    .finally(() => {
      if ('fd' in source) source.close();
    });
  connection.later(
    frame,
    work,
    (region) => answerEmpty(connection, header, 0, region),
    (region) => {
      connection.regions--;
      connection.session.unregisterRegion(region).catch((error: Error) => {
        connection.parts.log.error('unregistering a cancelled region: %s', error.message);
      });
    },
  );
}

function sourceOf(connection: ServerConnection, frame: Frame): { path: string } | PassedFd {
  if ((frame.flags & FRAME_FLAG.token) === 0) return { path: textOf(frame, 8, frame.count) };
  if (frame.count !== FD_TOKEN_BYTES) {
    throw new RefillError('ERR_PROTOCOL', `a token is ${FD_TOKEN_BYTES} bytes, not ${frame.count}`);
  }
  const passed = connection.parts.takePassedFd?.(frame.bytes(8, FD_TOKEN_BYTES).slice());
  if (passed !== undefined) return passed;
  throw new RefillError('ERR_HANDLE_UNKNOWN', 'no file descriptor was passed under this token', {
    fix: 'Pass it through the fd socket of this node first; it is kept for 30 s',
  });
}
