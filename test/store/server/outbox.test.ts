import type { Socket } from 'node:net';
import { FRAME, FRAME_BYTES_MAX } from '@refill/interface';
import t from 'tap';
import { Outbox } from '../../../packages/store/src/server/outbox.ts';

/** A socket that notes what is written, and whether that is held together by a cork. */
function socketOf() {
  const calls: string[] = [];
  const socket = {
    calls,
    writable: true,
    writableLength: 0,
    write: (bytes: Uint8Array) => void calls.push(`write ${bytes.length}`),
    cork: () => void calls.push('cork'),
    uncork: () => void calls.push('uncork'),
  };
  return { calls, socket, outbox: new Outbox(socket as unknown as Socket) };
}

function reply(outbox: Outbox, bodyBytes: number): void {
  const { writer } = outbox;
  const at = writer.begin(bodyBytes);
  writer.end(writer.words, at, FRAME.get, 0, 1, 0, 0, 0, 0);
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('replies of one tick leave in one write at its end', async (t) => {
  const { outbox, calls } = socketOf();
  for (let i = 0; i < 3; i++) {
    reply(outbox, 8);
    outbox.soon();
  }
  t.same(calls, [], 'not before');
  await tick();
  t.equal(calls.length, 1);
  await tick();
  t.equal(calls.length, 1, 'and once');
  reply(outbox, 8);
  outbox.soon();
  await tick();
  t.equal(calls.length, 2);
});

t.test('what lies in several parts leaves together', async (t) => {
  const { outbox, calls } = socketOf();
  reply(outbox, 64);
  reply(outbox, FRAME_BYTES_MAX / 2);
  reply(outbox, FRAME_BYTES_MAX / 2);
  outbox.flush();
  t.equal(calls[0], 'cork');
  t.equal(calls.at(-1), 'uncork');
  t.ok(calls.filter((call) => call.startsWith('write')).length > 1);
});

t.test('nothing is written when nothing is ready, or to a socket that is closed', async (t) => {
  const { outbox, calls, socket } = socketOf();
  outbox.flush();
  socket.writable = false;
  reply(outbox, 8);
  outbox.flush();
  t.same(calls, []);
  socket.writable = true;
  outbox.flush();
  t.same(calls, [], 'what a closed socket did not take is gone');
  socket.writableLength = 17;
  t.equal(outbox.waitingBytes, 17);
});
