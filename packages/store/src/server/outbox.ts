import type { Socket } from 'node:net';
import { FrameWriter } from '@refill/interface';

/** Replies on their way out: all that are ready in one tick leave in one write. */
export class Outbox {
  readonly writer: FrameWriter = new FrameWriter();
  readonly #socket: Socket;
  #scheduled = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes that the client has not taken. */
  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  /** Writes what is ready at the end of this tick. For replies that settle on their own. */
  soon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.writer.queuedBytes === 0) return;
    const parts = this.writer.take();
    if (!this.#socket.writable) return;
    if (parts.length === 1) {
      this.#socket.write(parts[0]!);
      return;
    }
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  }
}
