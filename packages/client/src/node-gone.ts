import { constants } from 'node:os';
import { RefillError } from '@refill/interface';

const { ECONNREFUSED, ECONNRESET, ENOENT, ENOTCONN, EPIPE } = constants.errno;
const GONE: ReadonlySet<number> = new Set([ECONNREFUSED, ECONNRESET, ENOENT, ENOTCONN, EPIPE]);

/**
 * Settles as `work` on the node's fd socket does, but a socket that nobody serves any more is a node that is gone:
 * callers tell that apart from a mount that fails, and try again.
 */
export async function unlessNodeGone<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof RefillError) || error.errno === undefined || !GONE.has(error.errno)) throw error;
    throw new RefillError('ERR_NODE_CLOSED', `the node went away: ${error.message}`, { cause: error });
  }
}
