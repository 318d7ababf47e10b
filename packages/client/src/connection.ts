import { connect, type Socket } from 'node:net';
import {
  type CallOptions,
  type Clock,
  ERROR_FRAME,
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_WORDS,
  type Frame,
  FrameReader,
  FrameWriter,
  frameName,
  invariant,
  REPLY_BIT,
  RefillError,
  readError,
  readWelcome,
  type Welcome,
  writeHello,
} from '@refill/interface';
import type { Arena } from './arena.ts';
import { Call, type ReplyReader } from './call.ts';
import { abortError, deadlineError, deadlineMsOf } from './deadline.ts';
import { RowPool } from './row-pool.ts';

/** Replies are parsed where they are received; longer ones are assembled. */
const READ_BUFFER_BYTES = 64 * 1024;
/** How long after the deadline an answer may come: the node answers at the deadline, then it crosses the socket. */
const ANSWER_GRACE_MS = 100;
/** Requests without an answer, long after their deadline, that declare a node dead. */
const ABANDONED_MAX = 1024;

/**
 * One socket to a node: requests out, replies in, by request number and in any order. All frames of a tick leave in
 * one write. When the socket is lost every call on it fails at once with `ERR_NODE_CLOSED`.
 */
export class NodeConnection {
  /** Set by `opened`, before anybody else gets to see the connection. */
  welcome!: Welcome;
  arena!: Arena;
  /** Why the connection is gone; its pins and reservations are gone with it. */
  lost: RefillError | undefined;
  readonly writer: FrameWriter = new FrameWriter();
  readonly rows: RowPool = new RowPool();
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  readonly #calls = new Map<number, Call>();
  #leakWarned = false;
  #lastRequest = 0;
  #abandoned = 0;
  #flushing = false;
  #releases = new Uint32Array(1024);
  #releaseCount = 0;
  #stopTimer: (() => void) | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #onLost: (() => void) | undefined;

  constructor(socketPath: string, parts: { clock: Clock; warn: (message: string) => void }) {
    this.#clock = parts.clock;
    this.#warn = parts.warn;
    const reader = new FrameReader((frame) => this.#frame(frame));
    this.#socket = connect({
      path: socketPath,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
        callback: (length, buffer) => {
          try {
            reader.push(buffer, length);
          } catch (error) {
            this.lose(error as Error);
          }
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.lose(error));
    this.#socket.on('end', () => this.lose());
    this.#socket.on('close', () => this.lose());
  }

  /** The first exchange. Rejects with `ERR_VERSION`, `ERR_LIMIT`, `ERR_NODE_CLOSED`, `ERR_DEADLINE`. */
  hello(options: CallOptions): Promise<Welcome> {
    const request = this.#next();
    writeHello(this.writer, request, process.pid);
    return this.#expect(request, FRAME.hello, options, { read: readWelcome });
  }

  opened(welcome: Welcome, arena: Arena): void {
    this.welcome = welcome;
    this.arena = arena;
    arena.hold();
  }

  /** Called once when the connection is lost; at once if it is. */
  onLost(callback: () => void): void {
    if (this.lost !== undefined) callback();
    else this.#onLost = callback;
  }

  /** Ends the frame begun at `at` of the writer, sends it and waits for the reply. */
  ask<T>(
    at: number,
    type: number,
    flags: number,
    namespace: number,
    count: number,
    argument: number,
    options: CallOptions | undefined,
    reader: ReplyReader<T>,
  ): Promise<T> {
    if (this.lost !== undefined) return Promise.reject(this.lost);
    let deadlineMs: number;
    try {
      deadlineMs = deadlineMsOf(options);
    } catch (error) {
      return Promise.reject(error);
    }
    if (options?.signal?.aborted) return Promise.reject(abortError(options.signal));
    const request = this.#next();
    const { writer } = this;
    writer.end(writer.words, at, type, flags, request, deadlineMs, namespace, count, argument);
    return this.#expect(request, type, options, reader);
  }

  /** Gives a pin back. Pins given back together travel together, with the next request if there is one. */
  release(slot: number): void {
    if (this.lost !== undefined) return;
    if (this.#releaseCount === this.#releases.length) this.#writeReleases();
    this.#releases[this.#releaseCount++] = slot;
    this.#flushSoon();
  }

  /** A frame that has no reply. */
  tell(type: number, words: Uint32Array, count: number, argument: number): void {
    if (this.lost !== undefined) return;
    const at = this.writer.begin(count * 4);
    this.writer.words.set(words.subarray(0, count), at + FRAME_HEADER_WORDS);
    this.writer.end(this.writer.words, at, type, 0, 0, 0, 0, count, argument);
    this.#flushSoon();
  }

  /** Called for views that were collected without a release. Warns once. */
  leaked(): void {
    if (this.#leakWarned) return;
    this.#leakWarned = true;
    this.#warn(
      'a block view was never released: its slot stays pinned until the connection ends. Call release(), or declare it with `using`',
    );
  }

  /** Ends the connection. The node takes back what it held. */
  lose(cause?: Error): void {
    if (this.lost !== undefined) return;
    const error = lossOf(cause);
    this.lost = error;
    this.#stopTimer?.();
    this.#socket.destroy();
    for (const call of this.#calls.values()) call.fail(error);
    this.#calls.clear();
    this.#onLost?.();
    this.arena?.drop();
  }

  #next(): number {
    do {
      this.#lastRequest = (this.#lastRequest + 1) >>> 0 || 1;
    } while (this.#calls.has(this.#lastRequest));
    return this.#lastRequest;
  }

  #expect<T>(
    request: number,
    type: number,
    options: CallOptions | undefined,
    reader: ReplyReader<T>,
  ): Promise<T> {
    const deadlineMs = deadlineMsOf(options);
    const expiresMs = this.#clock.nowMs() + deadlineMs + ANSWER_GRACE_MS;
    return new Promise<T>((resolve, reject) => {
      const call = new Call(type, deadlineMs, expiresMs, reader, resolve as (value: unknown) => void, reject);
      this.#calls.set(request, call);
      if (expiresMs < this.#timerMs) this.#arm(expiresMs);
      const signal = options?.signal;
      if (signal) {
        const onAbort = () => {
          call.fail(abortError(signal));
          this.#abandon(request);
        };
        signal.addEventListener('abort', onAbort);
        call.stopListening = () => signal.removeEventListener('abort', onAbort);
      }
      this.#flushSoon();
    });
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    // After the promises that are settling: what their continuations ask and release leaves in the same write.
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    if (this.lost !== undefined) return;
    if (this.#releaseCount > 0) this.#writeReleases();
    if (this.writer.queuedBytes === 0) return;
    const parts = this.writer.take();
    if (parts.length === 1) {
      this.#socket.write(parts[0]!);
      return;
    }
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  };

  #writeReleases(): void {
    const count = this.#releaseCount;
    this.#releaseCount = 0;
    const at = this.writer.begin(count * 4);
    const { words } = this.writer;
    const body = at + FRAME_HEADER_WORDS;
    for (let i = 0; i < count; i++) words[body + i] = this.#releases[i]!;
    this.writer.end(words, at, FRAME.release, 0, 0, 0, 0, count, 0);
  }

  #frame(frame: Frame): void {
    const { type, request } = frame;
    const call = this.#calls.get(request);
    if (type === ERROR_FRAME) {
      const error = readError(frame);
      this.#forget(request, call);
      call?.fail(error);
      if ((frame.flags & FRAME_FLAG.fatal) !== 0) this.lose(error);
      else if (call === undefined) this.#warn(`the node refused a frame: ${error.message}`);
      return;
    }
    if (call === undefined || type !== (call.type | REPLY_BIT)) {
      throw new RefillError(
        'ERR_PROTOCOL',
        `the node answered ${frameName(type)}, request ${request}, unasked`,
      );
    }
    this.#forget(request, call);
    call.answer(frame);
  }

  #forget(request: number, call: Call | undefined): void {
    if (call === undefined) return;
    this.#calls.delete(request);
    if (call.abandoned) this.#abandoned--;
  }

  /** Nobody waits for this request any more. Its entry stays: the reply may bring pins to give back. */
  #abandon(request: number): void {
    this.#abandoned++;
    if (this.#abandoned > ABANDONED_MAX) {
      this.lose(new RefillError('ERR_DEADLINE', `the node left ${ABANDONED_MAX} requests unanswered`));
      return;
    }
    this.tell(FRAME.cancel, NO_WORDS, 0, request);
  }

  /** One timer for all calls, at the earliest deadline: deadlines that are met cost nothing. */
  #arm(atMs: number): void {
    this.#stopTimer?.();
    this.#timerMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#stopTimer = this.#clock.after(Math.max(1, atMs - this.#clock.nowMs()), () => this.#expire());
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [request, call] of this.#calls) {
      if (call.abandoned) continue;
      if (call.expiresMs > nowMs) {
        nextMs = Math.min(nextMs, call.expiresMs);
        continue;
      }
      call.expire(deadlineError(frameName(call.type), call.deadlineMs));
      invariant(call.abandoned, 'an expired call is settled');
      this.#abandon(request);
      if (this.lost !== undefined) return;
    }
    this.#arm(nextMs);
  }
}

const NO_WORDS = new Uint32Array(0);

function lossOf(cause: Error | undefined): RefillError {
  if (cause instanceof RefillError && cause.code === 'ERR_NODE_CLOSED') return cause;
  const why = cause === undefined ? 'the node closed it' : cause.message;
  return new RefillError('ERR_NODE_CLOSED', `the connection to the node is gone: ${why}`, { cause });
}
