import type { Stream } from '@libp2p/interface';
import { WRITE_BYTES_MAX } from './bounds.ts';
import { type Frame, frameBytes, writeFrame } from './frame.ts';
import { FrameReader } from './frame-reader.ts';

/**
 * A libp2p stream as frames. Frames of one turn of the event loop leave in one write; while the stream takes no more
 * they wait here, where they can still be dropped. The owner bounds `queuedBytes`.
 */
export class FramedStream {
  /** Called for each frame; what it throws ends the stream. Set by the owner, and changed after admission. */
  onFrame: (frame: Frame) => void = () => {};
  /** Called once, when the stream has ended. `cause` is what a frame or the transport failed with. */
  onEnd: (cause: unknown) => void = () => {};
  /** Called when frames were handed to the transport. */
  onSent: () => void = () => {};
  queuedBytes = 0;
  bytesReceived = 0;
  readonly #stream: Stream;
  readonly #reader = new FrameReader();
  #queue: Frame[] = [];
  #isScheduled = false;
  #hasEnded = false;

  constructor(stream: Stream) {
    this.#stream = stream;
    stream.addEventListener('message', ({ data }) => {
      this.bytesReceived += data.byteLength;
      try {
        const take = (frame: Frame): void => {
          if (!this.#hasEnded) this.onFrame(frame);
        };
        if (data instanceof Uint8Array) this.#reader.push(data, take);
        else for (const part of data) this.#reader.push(part, take);
      } catch (error) {
        this.end(error);
      }
    });
    stream.addEventListener('drain', () => this.#schedule());
    stream.addEventListener('close', ({ error }) => this.end(error));
    // Whoever speaks no more will hear no more: a control stream is never half-closed.
    stream.addEventListener('remoteCloseWrite', () => this.end(undefined));
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Longest frame taken from now on. */
  set frameBytesMax(bytes: number) {
    this.#reader.maxBytes = bytes;
  }

  send(frame: Frame): void {
    if (this.#hasEnded) return;
    this.#queue.push(frame);
    this.queuedBytes += frameBytes(frame);
    this.#schedule();
  }

  /** Takes a frame back that was not sent: its body is borrowed no longer. */
  drop(frame: Frame): void {
    const at = this.#queue.indexOf(frame);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    this.queuedBytes -= frameBytes(frame);
  }

  pause(): void {
    if (!this.#hasEnded && this.#stream.readStatus === 'readable') this.#stream.pause();
  }

  resume(): void {
    if (!this.#hasEnded && this.#stream.readStatus === 'paused') this.#stream.resume();
  }

  /** Sends what is queued as far as the stream takes it, then ends it for both sides. */
  finish(): void {
    this.#flush();
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#stream.close().catch(() => {});
    this.onEnd(undefined);
  }

  /** Ends it at once: what is queued is lost. */
  end(cause: unknown): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#queue = [];
    this.queuedBytes = 0;
    this.#stream.abort(cause instanceof Error ? cause : new Error('the control stream has ended'));
    this.onEnd(cause);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#queue.length === 0) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    let sent = 0;
    while (sent < this.#queue.length && !this.#hasEnded && !this.#stream.writableNeedsDrain) {
      const first = sent;
      let bytes = 0;
      while (sent < this.#queue.length) {
        const next = frameBytes(this.#queue[sent]!);
        if (sent > first && bytes + next > WRITE_BYTES_MAX) break;
        bytes += next;
        sent++;
      }
      const buffer = Buffer.allocUnsafeSlow(bytes);
      let at = 0;
      for (let i = first; i < sent; i++) at = writeFrame(buffer, at, this.#queue[i]!);
      this.queuedBytes -= bytes;
      try {
        this.#stream.send(buffer);
      } catch (error) {
        this.end(error);
        return;
      }
    }
    if (sent === 0) return;
    this.#queue.splice(0, sent);
    this.onSent();
  }
}
