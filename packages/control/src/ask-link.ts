import { type Clock, type PeerName, RefillError } from '@refill/interface';
import { PING_ANSWER_MS, PING_IDLE_MS } from './bounds.ts';
import type { Call } from './call.ts';
import { errorOf, unreachable } from './errors.ts';
import { FRAME_KIND, type Frame, frameOf } from './frame.ts';
import type { FramedStream } from './framed-stream.ts';

/**
 * The asking end of an admitted stream: sends calls and hands their answers back. A link that stays silent after a
 * ping is broken, and everything on it is rejected: a half-open connection costs one deadline and `PING_ANSWER_MS`.
 */
export class AskLink {
  readonly #clock: Clock;
  readonly #peer: PeerName;
  readonly #stream: FramedStream;
  readonly #calls = new Map<number, { call: Call; frame: Frame }>();
  #nextId = 1;
  #receivedMs: number;
  #cancelTick: () => void = () => {};
  #isPinging = false;

  /** `onEnd` is called once, after every call was rejected. */
  constructor(
    { clock, peer }: { clock: Clock; peer: PeerName },
    stream: FramedStream,
    onEnd: (cause: unknown) => void,
  ) {
    this.#clock = clock;
    this.#peer = peer;
    this.#stream = stream;
    this.#receivedMs = clock.nowMs();
    stream.onFrame = (frame) => this.#take(frame);
    stream.onEnd = (cause) => {
      this.#cancelTick();
      for (const { call } of [...this.#calls.values()]) call.settle(unreachable(peer, cause));
      onEnd(cause);
    };
    this.#tickAfter(PING_IDLE_MS);
  }

  send(call: Call): void {
    const id = this.#nextId;
    // Ids come round after 2^32 requests; those of so long ago were settled by their deadlines.
    this.#nextId = (this.#nextId + 1) >>> 0;
    const frame = frameOf(FRAME_KIND.request, {
      id,
      argument: Math.max(1, Math.ceil(call.leftMs(this.#clock))),
      name: call.protocol,
      body: call.body,
    });
    this.#calls.set(id, { call, frame });
    const sentMs = this.#clock.nowMs();
    call.onSettled = (isLate) => {
      this.#calls.delete(id);
      this.#stream.drop(frame);
      if (isLate && this.#receivedMs < sentMs) this.#ping();
    };
    this.#stream.send(frame);
  }

  end(cause: unknown): void {
    this.#stream.end(cause);
  }

  #take(frame: Frame): void {
    this.#receivedMs = this.#clock.nowMs();
    if (frame.kind === FRAME_KIND.pong) return;
    if (frame.kind !== FRAME_KIND.answer && frame.kind !== FRAME_KIND.failure) {
      throw new RefillError('ERR_PROTOCOL', `frame ${frame.kind} is no answer`);
    }
    // Not there: it came too late, and its call was settled by its deadline.
    const { call } = this.#calls.get(frame.id) ?? {};
    call?.settle(frame.kind === FRAME_KIND.answer ? frame.body : errorOf(frame));
  }

  #ping(): void {
    if (this.#isPinging || this.#stream.hasEnded) return;
    this.#isPinging = true;
    const pingedMs = this.#clock.nowMs();
    this.#stream.send(frameOf(FRAME_KIND.ping));
    this.#cancelTick();
    this.#cancelTick = this.#clock.after(PING_ANSWER_MS, () => {
      this.#isPinging = false;
      if (this.#receivedMs >= pingedMs) {
        this.#tickAfter(PING_IDLE_MS);
        return;
      }
      this.#stream.end(new RefillError('ERR_PEER_UNREACHABLE', `${this.#peer} gave no sign of life`));
    });
  }

  /** Comes round once per period however many answers come in it: no timer is touched by an answer. */
  #tickAfter(ms: number): void {
    this.#cancelTick = this.#clock.after(ms, () => {
      const idleMs = this.#clock.nowMs() - this.#receivedMs;
      if (idleMs < PING_IDLE_MS) this.#tickAfter(PING_IDLE_MS - idleMs);
      else this.#ping();
    });
  }
}
