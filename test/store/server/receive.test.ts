import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { receiving } from '../../../packages/store/src/server/receive.ts';

let sockets = 0;

/** A server that receives by `receive`, and a client of it. */
async function pair(
  t: Test,
  receive: (bytes: Uint8Array, length: number) => boolean,
): Promise<{ client: Socket; server: Socket; accepted: Socket }> {
  const listener = createServer({ pauseOnConnect: true });
  // A Unix socket's path is at most 107 bytes: shorter than the test's own directory may be.
  const path = join(tmpdir(), `refill-receive-${process.pid}-${sockets++}.sock`);
  listener.listen(path);
  await once(listener, 'listening');
  const client = connect(path);
  const [accepted] = (await once(listener, 'connection')) as [Socket];
  const server = receiving(accepted, receive);
  t.teardown(() => {
    client.destroy();
    server.destroy();
    listener.close();
  });
  return { client, server, accepted };
}

async function until(isThere: () => boolean): Promise<void> {
  while (!isThere()) await new Promise(setImmediate);
}

t.test('every read goes into the same memory, unless it is still needed', async (t) => {
  const buffers: ArrayBufferLike[] = [];
  const texts: string[] = [];
  const kept: Uint8Array[] = [];
  const { client } = await pair(t, (bytes, length) => {
    buffers.push(bytes.buffer);
    const text = Buffer.from(bytes.subarray(0, length)).toString();
    texts.push(text);
    if (text !== 'keep') return false;
    kept.push(bytes.subarray(0, length));
    return true;
  });
  for (const text of ['one', 'keep', 'three', 'four']) {
    const count = texts.length + 1;
    client.write(text);
    await until(() => texts.length === count);
  }
  t.same(texts, ['one', 'keep', 'three', 'four']);
  t.equal(buffers[1], buffers[0]);
  t.not(buffers[2], buffers[1]);
  t.equal(buffers[3], buffers[2]);
  t.equal(Buffer.from(kept[0]!).toString(), 'keep', 'later bytes did not change what was kept');
});

t.test('it writes as any socket, sees the end, and takes the accepted one with it', async (t) => {
  const { client, server, accepted } = await pair(t, () => false);
  client.setEncoding('utf8');
  server.write('hello');
  t.equal((await once(client, 'data'))[0], 'hello');
  const closed = Promise.all([once(server, 'close'), once(accepted, 'close')]);
  server.once('end', () => server.end());
  client.end();
  await closed;
  t.equal(accepted.destroyed, true);
});
