import { RefillError } from '@refill/interface';

/** The error of a file that the user named. */
export function fileError(path: string, what: 'read' | 'written', cause: unknown): RefillError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new RefillError('ERR_INVALID_ARGUMENT', `${path} cannot be ${what} (${code ?? message})`, { cause });
}
