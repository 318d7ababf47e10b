import { constants } from 'node:os';
import { RefillError } from '@refill/interface';
import t from 'tap';
import { unlessNodeGone } from '../../packages/client/src/node-gone.ts';

t.test('a node killed while it hands over its arena reads as gone, so that callers try again', async (t) => {
  for (const name of ['ECONNRESET', 'ECONNREFUSED', 'ENOENT', 'EPIPE'] as const) {
    const error = new RefillError('ERR_STORAGE_FAILED', `mapping failed: ${name}`, {
      errno: constants.errno[name],
    });
    await t.rejects(unlessNodeGone(Promise.reject(error)), { code: 'ERR_NODE_CLOSED', cause: error });
  }
});

t.test('other failures and results pass unchanged', async (t) => {
  const full = new RefillError('ERR_STORAGE_FAILED', 'no memory', { errno: constants.errno.ENOMEM });
  await t.rejects(unlessNodeGone(Promise.reject(full)), { code: 'ERR_STORAGE_FAILED' });
  t.equal(await unlessNodeGone(Promise.resolve(7)), 7);
});
