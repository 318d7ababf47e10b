import { Socket } from 'node:net';

/** What is received at a time; longer frames are assembled from several. */
const RECEIVE_BYTES = 64 * 1024;

/** A socket as Node hands it to a server: not in its types, though its own server passes it on in the same way. */
interface Accepted {
  _handle: object | null;
}

/**
 * Takes over an accepted socket (of a server with `pauseOnConnect`) such that it receives into one buffer again and
 * again; Node would allocate 64 KiB for every read, which costs more than all else that a server does for a hit.
 * Only a socket that is made with `onread` can do so, hence a new one on the same handle; the accepted one stays behind
 * for the server's count of connections, and ends with it.
 *
 * `receive` gets the buffer and how much of it was filled, and answers whether it still needs the buffer afterwards:
 * then the next read goes into another one.
 */
export function receiving(accepted: Socket, receive: (bytes: Uint8Array, length: number) => boolean): Socket {
  const { _handle: handle } = accepted as unknown as Accepted;
  (accepted as unknown as Accepted)._handle = null;
  let isKept = false;
  const next = (): Buffer => Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  const first = next();
  let started = false;
  const socket = new Socket({
    handle,
    readable: true,
    writable: true,
    onread: {
      // Asked once at the start, then after every read: no answer is the same buffer again.
      buffer: () => {
        if (!started) {
          started = true;
          return first;
        }
        if (!isKept) return undefined;
        isKept = false;
        return next();
      },
      callback: (length: number, buffer: Uint8Array) => {
        isKept = receive(buffer, length);
        return true;
      },
    },
  } as unknown as ConstructorParameters<typeof Socket>[0]);
  socket.once('close', () => accepted.destroy());
  return socket;
}
