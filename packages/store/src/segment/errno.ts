import { RefillError } from '@refill/interface';

/** Error numbers of Linux that decide something. Names are not used: Node calls EDQUOT and ESTALE `UNKNOWN`. */
export const ERRNO = {
  ENOENT: 2,
  EIO: 5,
  EEXIST: 17,
  ENOSPC: 28,
  EBADMSG: 74,
  ETIMEDOUT: 110,
  ESTALE: 116,
  EDQUOT: 122,
} as const;

/** The number behind whatever an operation failed with; EIO where it says nothing. */
export function errnoOf(error: unknown): number {
  if (!(error instanceof RefillError)) return ERRNO.EIO;
  return error.errno ?? (error.code === 'ERR_DEADLINE' ? ERRNO.ETIMEDOUT : ERRNO.EIO);
}

export function isFull(errno: number): boolean {
  return errno === ERRNO.ENOSPC || errno === ERRNO.EDQUOT;
}

/** The file is not there any more, or not the one that was opened. */
export function isGone(errno: number): boolean {
  return errno === ERRNO.ENOENT || errno === ERRNO.ESTALE;
}
