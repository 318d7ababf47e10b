import type { Socket } from 'node:net';
import type { Logger } from '@libp2p/interface';
import {
  type Clock,
  FRAME,
  type Frame,
  FrameReader,
  frameName,
  type NodeSession,
  RefillError,
  readHello,
  type StoreNode,
  type Welcome,
  writeError,
  writeWelcome,
} from '@refill/interface';
import { checkHeader } from './arguments.ts';
import type { ServerBounds, ServerCounters } from './bounds.ts';
import { Outbox } from './outbox.ts';
import { receiving } from './receive.ts';
import { HANDLERS } from './requests.ts';

/** A descriptor that a client has passed. It belongs to whoever takes it, who closes it. */
export interface PassedFd {
  readonly fd: number;
  close(): void;
}

export interface ConnectionParts {
  node: StoreNode;
  clock: Clock;
  log: Logger;
  bounds: ServerBounds;
  counters: ServerCounters;
  welcome: () => Welcome;
  takePassedFd?: (token: Uint8Array) => PassedFd | undefined;
}

/** Frames that are not answered; they carry request 0. */
const WITHOUT_REPLY: ReadonlySet<number> = new Set([
  FRAME.abort,
  FRAME.release,
  FRAME.cancel,
  FRAME.releaseFill,
]);

/** A request that has not been answered. */
interface Underway {
  bytes: number;
  cancelled: boolean;
}

/**
 * One client: its socket, its session and what is under way for it. Frames are handled in the order they arrive;
 * those that need no waiting are answered at once, all in one write; the others whenever they settle.
 */
export class ServerConnection {
  readonly parts: ConnectionParts;
  readonly session: NodeSession;
  /** Namespaces that this connection has opened: no other can be read, written or probed through it. */
  readonly namespaces: Set<number> = new Set();
  /** Regions registered or being registered. */
  regions = 0;
  readonly outbox: Outbox;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #underway = new Map<number, Underway>();
  readonly #cancelTimers = new Set<() => void>();
  #underwayBytes = 0;
  #greeted = false;
  #ending = false;
  #closed = false;
  #paused = false;
  #isReceivedKept = false;
  #stopStall: (() => void) | undefined;
  #onClosed: () => void;

  /** Takes over a socket of a server with `pauseOnConnect`. */
  constructor(parts: ConnectionParts, accepted: Socket, onClosed: () => void) {
    this.parts = parts;
    const socket = receiving(accepted, (bytes, length) => this.#data(bytes, length));
    this.#socket = socket;
    this.#onClosed = onClosed;
    this.outbox = new Outbox(socket);
    this.session = parts.node.openSession();
    this.#reader = new FrameReader((frame) => this.#frame(frame));
    socket.on('drain', () => this.#balance());
    socket.on('end', () => this.#ended());
    socket.on('error', (error) => parts.log.trace('connection: %s', error.message));
    socket.on('close', () => this.#close());
    this.#timer(parts.bounds.helloMs, () => {
      if (!this.#greeted) this.#fatal(new RefillError('ERR_PROTOCOL', 'no hello came in time'));
    });
  }

  /** Says why, stops listening to the client and waits for it to hang up. */
  end(error: RefillError): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    writeError(this.outbox.writer, 0, error, { fatal: true });
    this.outbox.flush();
    this.#socket.end();
    // What the client still sends is read and dropped, or its hanging up would not be seen.
    this.#socket.resume();
    this.#timer(this.parts.bounds.lingerMs, () => this.#socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
    this.#close();
  }

  /** Answers an error to one request. Frames without a reply carry request 0, and so does the answer. */
  refuse(request: number, error: unknown): void {
    this.parts.counters.requestErrors++;
    if (!(error instanceof RefillError)) this.parts.log.error('request failed: %s', stackOf(error));
    writeError(this.outbox.writer, request, error);
  }

  /**
   * Keeps a request until `work` settles, then lets `reply` write the answer. If it was cancelled meanwhile `undo`
   * gives back what it got. After the connection is gone nothing is done: closing the session gave everything back.
   */
  later<T>(frame: Frame, work: Promise<T>, reply: (value: T) => void, undo?: (value: T) => void): void {
    const { request } = frame;
    const entry: Underway = { bytes: frame.lengthBytes, cancelled: false };
    // The session reads the frame's rows until it settles.
    if (!this.#reader.giveAway()) this.#isReceivedKept = true;
    this.#underway.set(request, entry);
    this.#underwayBytes += entry.bytes;
    const settle = (write: () => void) => {
      this.#underway.delete(request);
      this.#underwayBytes -= entry.bytes;
      if (this.#closed) return;
      try {
        write();
      } catch (error) {
        this.refuse(request, error);
      }
      this.outbox.soon();
      this.#balance();
    };
    work.then(
      (value) =>
        settle(() => {
          if (!entry.cancelled) return reply(value);
          undo?.(value);
          writeError(this.outbox.writer, request, new RefillError('ERR_ABORTED', 'the client cancelled'));
        }),
      (error: unknown) => settle(() => this.refuse(request, error)),
    );
  }

  /** Marks a request as unwanted. It is still answered, once: when nothing touches the client's memory any more. */
  cancel(request: number): void {
    const entry = this.#underway.get(request);
    if (entry === undefined) return;
    this.parts.counters.cancelled++;
    entry.cancelled = true;
  }

  /** Takes what was received; answers whether a request that is under way lies in it. */
  #data(received: Uint8Array, length: number): boolean {
    if (this.#ending) return false;
    this.#isReceivedKept = false;
    try {
      this.#reader.push(received, length);
    } catch (error) {
      this.#fatal(error);
    }
    this.outbox.flush();
    this.#balance();
    return this.#isReceivedKept;
  }

  #frame(frame: Frame): void {
    if (this.#ending) return;
    this.parts.counters.frames++;
    checkHeader(frame);
    if (!this.#greeted) {
      this.#greet(frame);
      return;
    }
    const handler = HANDLERS[frame.type];
    if (handler === undefined || frame.type === FRAME.hello) {
      throw new RefillError('ERR_PROTOCOL', `${frameName(frame.type)} is not expected here`);
    }
    if (frame.request === 0 && !WITHOUT_REPLY.has(frame.type)) {
      throw new RefillError('ERR_PROTOCOL', `${frameName(frame.type)} needs a request number other than 0`);
    }
    if (this.#underway.has(frame.request)) {
      throw new RefillError('ERR_PROTOCOL', `request ${frame.request} is under way already`);
    }
    try {
      handler(this, frame);
    } catch (error) {
      if (error instanceof RefillError && error.code === 'ERR_PROTOCOL') throw error;
      this.refuse(frame.request, error);
    }
  }

  #greet(frame: Frame): void {
    if (frame.type !== FRAME.hello) throw new RefillError('ERR_PROTOCOL', 'the first frame is no hello');
    const { version } = readHello(frame);
    this.#greeted = true;
    writeWelcome(this.outbox.writer, frame.request, { ...this.parts.welcome(), version });
  }

  #fatal(error: unknown): void {
    if (this.#ending) return;
    const known = error instanceof RefillError;
    if (known) this.parts.counters.protocolErrors++;
    this.parts.log.error('connection ended: %s', known ? error.message : stackOf(error));
    this.end(known ? error : new RefillError('ERR_INTERNAL', String(error), { cause: error }));
  }

  /** Reads from the client only while what it asked for and did not take stays within bounds. */
  #balance(): void {
    if (this.#closed || this.#ending) return;
    const { bounds, counters } = this.parts;
    const slow = this.outbox.waitingBytes > bounds.outgoingBytesMax;
    const full =
      slow || this.#underway.size >= bounds.requestsMax || this.#underwayBytes > bounds.requestBytesMax;
    if (full !== this.#paused) {
      this.#paused = full;
      if (full) {
        counters.pauses++;
        this.#socket.pause();
      } else this.#socket.resume();
    }
    if (slow) this.#stopStall ??= this.#timer(bounds.stallMs, () => this.#stalled());
    else {
      this.#stopStall?.();
      this.#stopStall = undefined;
    }
  }

  #stalled(): void {
    this.parts.counters.stalled++;
    this.parts.log.error('connection ended: the client takes no replies');
    this.#socket.destroy();
  }

  #ended(): void {
    if (this.#reader.pendingBytes > 0 && !this.#ending) this.parts.counters.protocolErrors++;
  }

  #timer(delayMs: number, callback: () => void): () => void {
    const cancel = this.parts.clock.after(delayMs, callback);
    this.#cancelTimers.add(cancel);
    return () => {
      cancel();
      this.#cancelTimers.delete(cancel);
    };
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const cancel of this.#cancelTimers) cancel();
    this.#cancelTimers.clear();
    this.session.close();
    this.#onClosed();
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
