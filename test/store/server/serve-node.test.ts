import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@refill/client';
import { serveNode } from '@refill/store';
import t, { type Test } from 'tap';
import { serveDouble, silent, until } from '../../fixtures/served-double.ts';
import { NodeDouble } from '../../fixtures/session-double.ts';
import { helloFrame, WireClient } from '../../fixtures/wire-client.ts';

/** A directory whose name leaves room for a socket's. */
function folder(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'refill-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function serve(socketPath: string) {
  const node = new NodeDouble();
  return serveNode(
    { node, clock: systemClock, log: silent },
    { socketPath, fdSocketPath: `${socketPath}.fd` },
  );
}

t.test('the socket is for its owner only, and goes when the server stops', async (t) => {
  const socketPath = join(folder(t), 'node.sock');
  const server = serve(socketPath);
  await server.start();
  t.equal(statSync(socketPath).mode & 0o777, 0o600);
  t.notOk(existsSync(`${socketPath}~`));
  await server.stop();
  t.notOk(existsSync(socketPath));
  await server.stop();
});

t.test('the socket file of a dead node is replaced', async (t) => {
  const socketPath = join(folder(t), 'node.sock');
  const child = `require('net').createServer().listen(${JSON.stringify(socketPath)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', child]), 'exit');
  t.ok(existsSync(socketPath), 'the dead node left its file');
  const server = serve(socketPath);
  await server.start();
  const client = await WireClient.open(socketPath);
  client.socket.write(helloFrame());
  t.equal((await client.answer(0)).error, undefined);
  client.socket.destroy();
  await server.stop();
});

t.test('a live node keeps its socket', async (t) => {
  const { socketPath } = await serveDouble(t);
  await t.rejects(async () => serve(socketPath).start(), {
    code: 'ERR_NODE_IDENTITY_TAKEN',
    message: /Stop it/,
  });
  const client = await WireClient.ready(socketPath);
  client.socket.destroy();
});

t.test('of many nodes that start at once on one stale socket, one wins', async (t) => {
  const socketPath = join(folder(t), 'node.sock');
  const servers = Array.from({ length: 8 }, () => serve(socketPath));
  const results = await Promise.allSettled(servers.map(async (server) => server.start()));
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  const client = await WireClient.open(socketPath);
  client.socket.destroy();
  for (const server of servers) await server.stop();
  t.notOk(existsSync(socketPath));
});

t.test('a path that cannot be a socket is refused with the fix', async (t) => {
  const directory = folder(t);
  writeFileSync(join(directory, 'file'), 'not a socket');
  const long = join(directory, 'x'.repeat(120));
  await t.rejects(async () => serve(long).start(), {
    code: 'ERR_CONFIG',
    message: /too long: \d+ bytes, at most 106/,
  });
  await t.rejects(async () => serve(join(directory, 'file')).start(), {
    code: 'ERR_CONFIG',
    message: /no socket/,
  });
  await t.rejects(async () => serve(join(directory, 'no', 'such')).start(), {
    code: 'ERR_CONFIG',
    message: /cannot listen/,
  });
});

t.test('another server on the socket is a live one', async (t) => {
  const socketPath = join(folder(t), 'node.sock');
  const other = createServer().listen(socketPath);
  await once(other, 'listening');
  await t.rejects(async () => serve(socketPath).start(), { code: 'ERR_NODE_IDENTITY_TAKEN' });
  other.close();
});

t.test('a thousand connections come and go, and every session is closed once', async (t) => {
  const { node, server, socketPath } = await serveDouble(t);
  for (let round = 0; round < 10; round++) {
    const clients = await Promise.all(Array.from({ length: 100 }, () => WireClient.open(socketPath)));
    for (const client of clients) client.socket.write(helloFrame());
    await Promise.all(clients.map((client) => client.answer(0)));
    for (const [i, client] of clients.entries()) {
      if (i % 2 === 0) client.socket.destroy();
      else client.socket.end();
    }
  }
  await until(() => server.counters.connectionsNow === 0);
  t.equal(server.counters.connections, 1000);
  t.equal(node.sessionsOpened, 1000);
  t.equal(node.closes, 1000);
  t.equal(node.sessions.size, 0);
});

t.test('a connection above the bound is told so', async (t) => {
  const { server, socketPath } = await serveDouble(t, { bounds: { connectionsMax: 1 } });
  const first = await WireClient.ready(socketPath);
  const second = await WireClient.open(socketPath);
  t.equal((await second.answer(0)).error?.code, 'ERR_LIMIT');
  await second.closed();
  t.equal(server.counters.connectionsRefused, 1);
  first.socket.destroy();
});

t.test('stopping tells clients and closes their sessions', async (t) => {
  const { node, server, socketPath } = await serveDouble(t);
  const polite = await WireClient.ready(socketPath);
  // One that never reads an end and never hangs up.
  const stuck = connect({ path: socketPath, allowHalfOpen: true });
  await once(stuck, 'connect');
  await until(() => node.sessions.size === 2);
  await server.stop();
  t.equal((await polite.answer(2)).error?.code, 'ERR_NODE_CLOSED');
  t.equal(node.closes, 2);
  stuck.destroy();
});

t.test('a file that took the place of the socket is not removed', async (t) => {
  const socketPath = join(folder(t), 'node.sock');
  const server = serve(socketPath);
  await server.start();
  unlinkSync(socketPath);
  writeFileSync(socketPath, 'of somebody else');
  await server.stop();
  t.ok(existsSync(socketPath));
});
