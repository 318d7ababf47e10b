import { type Clock, type ControlHandler, type PeerName, RefillError } from '@refill/interface';
import { ANSWERING_BYTES_MAX, ANSWERING_MAX, SILENCE_MS } from './bounds.ts';
import { FRAME_KIND, type Frame, frameOf } from './frame.ts';
import type { FramedStream } from './framed-stream.ts';
import { runHandler } from './run-handler.ts';

interface AnswerParts {
  readonly clock: Clock;
  readonly peer: PeerName;
  readonly handlers: ReadonlyMap<string, ControlHandler>;
  /** Told the bytes of every request's body that came, and of every answer's that went. */
  readonly onRequest: (bytes: number) => void;
  readonly onAnswer: (bytes: number) => void;
}

/**
 * The answering end of an admitted stream. It stops reading while too much of this peer is being answered or waits to
 * be sent: so a peer that floods or does not read its answers slows down only itself.
 */
export class AnswerLink {
  readonly #parts: AnswerParts;
  readonly #stream: FramedStream;
  #answering = 0;
  #answeringBytes = 0;
  #receivedMs: number;
  #cancelTick: () => void = () => {};

  constructor(parts: AnswerParts, stream: FramedStream, onEnd: (cause: unknown) => void) {
    this.#parts = parts;
    this.#stream = stream;
    this.#receivedMs = parts.clock.nowMs();
    stream.onFrame = (frame) => this.#take(frame);
    stream.onSent = () => this.#balance();
    stream.onEnd = (cause) => {
      this.#cancelTick();
      onEnd(cause);
    };
    this.#tickAfter(SILENCE_MS);
  }

  end(cause: unknown): void {
    this.#stream.end(cause);
  }

  #take(frame: Frame): void {
    this.#receivedMs = this.#parts.clock.nowMs();
    if (frame.kind === FRAME_KIND.ping) {
      this.#stream.send(frameOf(FRAME_KIND.pong));
      return;
    }
    if (frame.kind !== FRAME_KIND.request) {
      throw new RefillError('ERR_PROTOCOL', `frame ${frame.kind} is no request`);
    }
    void this.#answer(frame);
  }

  async #answer({ id, argument: deadlineMs, name, body }: Frame): Promise<void> {
    const { clock, peer, handlers, onRequest, onAnswer } = this.#parts;
    const dueMs = clock.nowMs() + deadlineMs;
    // Its length is kept: the handler may give the buffer away.
    const { length } = body;
    onRequest(length);
    this.#answering++;
    this.#answeringBytes += length;
    this.#balance();
    const reply = await runHandler(handlers, peer, { id, name, body });
    this.#answering--;
    this.#answeringBytes -= length;
    // Whoever asked has given up by then: what nobody reads isn't sent.
    if (!this.#stream.hasEnded && clock.nowMs() < dueMs) {
      onAnswer(reply.body.length);
      this.#stream.send(reply);
    }
    this.#balance();
  }

  #balance(): void {
    const isFull =
      this.#answering >= ANSWERING_MAX ||
      this.#answeringBytes >= ANSWERING_BYTES_MAX ||
      this.#stream.queuedBytes >= ANSWERING_BYTES_MAX;
    if (isFull) this.#stream.pause();
    else this.#stream.resume();
  }

  #tickAfter(ms: number): void {
    this.#cancelTick = this.#parts.clock.after(ms, () => {
      const idleMs = this.#parts.clock.nowMs() - this.#receivedMs;
      if (idleMs < SILENCE_MS) this.#tickAfter(SILENCE_MS - idleMs);
      else
        this.#stream.end(new RefillError('ERR_PEER_UNREACHABLE', `${this.#parts.peer} gave no sign of life`));
    });
  }
}
