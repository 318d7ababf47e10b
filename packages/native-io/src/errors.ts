import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { ErrorCode } from '@refill/interface';
import { RefillError } from '@refill/interface';

/** Linux numbers that Node has no name for. */
const EDQUOT = 122;
const ESTALE = 116;

const codeOfErrno: ReadonlyMap<number, ErrorCode> = new Map([
  [constants.errno.ENOSPC, 'ERR_STORAGE_FULL'],
  [EDQUOT, 'ERR_STORAGE_FULL'],
  [constants.errno.ETIMEDOUT, 'ERR_DEADLINE'],
]);

/** Name of an errno (positive), for messages. */
export function errnoName(errno: number): string {
  if (errno === EDQUOT) return 'EDQUOT';
  if (errno === ESTALE) return 'ESTALE';
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

/** The error of a call on the file system that failed with `errno` (positive). */
export function storageError(what: string, errno: number): RefillError {
  const code = codeOfErrno.get(errno) ?? 'ERR_STORAGE_FAILED';
  return new RefillError(code, `${what} failed: ${errnoName(errno)}`, { errno });
}
