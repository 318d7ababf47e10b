import { chmod, link, lstat, rename, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { RefillError, SOCKET_PATH_BYTES_MAX } from '@refill/interface';

/** The name under which a socket is bound before it is published; it must fit beside the final one. */
const UNPUBLISHED_SUFFIX = '~';

/**
 * Listens on `path` with mode 0600. Order: bind under another name, restrict the mode, then publish by `link`, which
 * fails where a name exists. So nobody connects before the mode is right, and of two nodes that start at once one
 * wins. The socket file of a dead node is replaced; a live one gives `ERR_NODE_IDENTITY_TAKEN`. A crash leaves a file
 * that the next start replaces.
 *
 * Answers a function that takes the file away, if it is still ours.
 */
export async function publishSocket(server: Server, path: string): Promise<() => Promise<void>> {
  const unpublished = `${path}${UNPUBLISHED_SUFFIX}`;
  const bytes = Buffer.byteLength(unpublished);
  if (bytes > SOCKET_PATH_BYTES_MAX) {
    throw new RefillError(
      'ERR_CONFIG',
      `socketPath is too long: ${Buffer.byteLength(path)} bytes, at most ${SOCKET_PATH_BYTES_MAX - 1} fit a Unix socket: ${path}`,
      { fix: 'Give a shorter one, for example under /run or /tmp' },
    );
  }
  await removeStale(unpublished);
  await listen(server, unpublished);
  try {
    await chmod(unpublished, 0o600);
    await linkOverStale(unpublished, path);
  } catch (error) {
    server.close();
    throw error;
  }
  const { ino } = await lstat(path);
  await unlink(unpublished);
  return async () => {
    const now = await lstat(path).catch(() => undefined);
    if (now?.ino === ino) await unlink(path);
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(new RefillError('ERR_CONFIG', `cannot listen on ${path}: ${cause.message}`, { cause }));
    server.once('error', failed);
    server.listen(path, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

async function linkOverStale(from: string, to: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await link(from, to);
      return;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 2) throw taken(to, cause);
    }
    await removeStale(to);
  }
}

/** Removes the socket file of a dead node. Throws for a live one, and for a file that is no socket. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new RefillError('ERR_CONFIG', `socketPath ${path} is a file that is no socket`, {
      fix: 'Give another path, or remove the file',
    });
  }
  if (await answers(path)) throw taken(path);
  // Between the question and the removal another node may have published: take the name away, then ask again.
  const aside = `${path}.${process.pid}`.slice(0, SOCKET_PATH_BYTES_MAX);
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const alive = await answers(aside);
  if (alive) await link(aside, path).catch(() => undefined);
  await unlink(aside);
  if (alive) throw taken(path);
}

function taken(path: string, cause?: unknown): RefillError {
  return new RefillError('ERR_NODE_IDENTITY_TAKEN', `another live node listens on ${path}`, {
    cause,
    fix: 'Stop it, or give this node another socket path',
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // Only a refusal proves that nobody listens; a full backlog or a missing right proves nothing.
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
    socket.once('connect', () => socket.destroy());
  });
}
