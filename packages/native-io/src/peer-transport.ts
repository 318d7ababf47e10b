import { constants } from 'node:os';
import {
  DEADLINE_MS_MAX,
  OFFER_ROW_WORDS,
  PEER_BLOCKS_MAX,
  PEER_OFFERS_MAX,
  PEER_TICKET_BYTES,
  PEER_TICKET_MS_MAX,
  type PeerCounters,
  type PeerTransport,
  RECEIVE_ROW_WORDS,
  RefillError,
} from '@refill/interface';
import type { NativeBlockIO } from './block-io.ts';
import { errnoName } from './errors.ts';
// Sets the handler through which slots are settled.
import './jobs.ts';
import { native } from './native.ts';
import { freeSlot, takeSlot } from './slots.ts';

export interface PeerTransportOptions {
  /** Its arena is sent from; its arena and regions are received into. Is stopped after this. */
  io: NativeBlockIO;
  /** Numeric address to listen on. */
  host: string;
  /** Default 0: any free port. */
  port?: number;
  /** Host that others connect to where it is not the one listened on: behind a NAT, or on `0.0.0.0`. */
  advertisedHost?: string;
  /** Connections of others at once. Beyond it idle ones go, strangers first. */
  connectionsMax?: number;
  /** Connections to one peer: calls to it that run at once. */
  connectionsPerPeer?: number;
  /** Size of socket buffers; default 0: tuned by the kernel. */
  socketBufferBytes?: number;
  /** TCP congestion control; default the system's. */
  congestion?: string;
}

/** What native code answers to a call that it does not take. */
const { ENOBUFS, ERANGE } = constants.errno;
/** A call is heard of at its deadline; its timer only keeps the process alive until then. */
const SETTLE_MS = 1_000;

/** `PeerTransport` on TCP. Made by `createPeerTransport`. */
export class TcpPeerTransport implements PeerTransport {
  readonly name = 'tcp';
  readonly #options: PeerTransportOptions;
  readonly #values = new Float64Array(8);
  #peer = 0;
  #port = 0;
  #stopping: Promise<void> | undefined;

  constructor(options: PeerTransportOptions) {
    this.#options = options;
  }

  get address(): string {
    const host = this.#options.advertisedHost ?? this.#options.host;
    return `${host.includes(':') ? `[${host}]` : host}:${this.#port}`;
  }

  /** Congestion control of its sockets, known after `start`. */
  get congestion(): string {
    return native.peerCongestion(this.#peer);
  }

  get counters(): PeerCounters {
    native.peerCounters(this.#peer, this.#values);
    const [bytesSent, bytesReceived, blocksSent, blocksReceived, offers, refused, corrupt, timeouts] = this
      .#values as unknown as [number, number, number, number, number, number, number, number];
    return { bytesSent, bytesReceived, blocksSent, blocksReceived, offers, refused, corrupt, timeouts };
  }

  async start(): Promise<void> {
    const { io, host, port = 0, socketBufferBytes = 0, congestion = '' } = this.#options;
    const { connectionsMax = 256, connectionsPerPeer = 4 } = this.#options;
    const [peer, listening] = native.openPeer(
      io.instance,
      host,
      port,
      socketBufferBytes,
      congestion,
      connectionsMax,
      connectionsPerPeer,
    );
    if (peer! < 0) {
      const errno = -peer!;
      throw new RefillError(
        'ERR_CONFIG',
        `listening for peers on ${host}:${port} failed: ${errnoName(errno)}`,
        {
          errno,
          fix: 'Give a numeric address of this machine, a free port, and a congestion control that the kernel has',
        },
      );
    }
    this.#peer = peer!;
    this.#port = listening!;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  offer(
    rows: Uint32Array,
    count: number,
    lifeMs: number,
    onReleased: () => void,
  ): { ticket: Uint8Array; end(): void } {
    this.#checkAlive();
    checkCount(rows, count, OFFER_ROW_WORDS);
    if (!(lifeMs > 0 && lifeMs <= PEER_TICKET_MS_MAX)) {
      throw new RangeError(`lifeMs must be above 0 and at most ${PEER_TICKET_MS_MAX}, got ${lifeMs}`);
    }
    const ticket = new Uint8Array(PEER_TICKET_BYTES);
    let isReleased = false;
    const slot = takeSlot(() => {
      isReleased = true;
      onReleased();
    });
    const errno = native.peerOffer(this.#peer, slot, rows, count, Math.ceil(lifeMs * 1000), ticket);
    if (errno !== 0) {
      freeSlot(slot);
      if (errno === ENOBUFS)
        throw new RefillError('ERR_LIMIT', `more than ${PEER_OFFERS_MAX} offers are out`);
      throw refusal(errno, 'an offered block is empty, too long or outside the arena');
    }
    return {
      ticket,
      end: () => {
        // The slot may be another's by then.
        if (!isReleased) native.peerEnd(this.#peer, slot);
      },
    };
  }

  async receive(
    address: string,
    ticket: Uint8Array,
    rows: Uint32Array,
    count: number,
    deadlineMs: number,
  ): Promise<void> {
    this.#checkAlive();
    checkCount(rows, count, RECEIVE_ROW_WORDS);
    if (!(deadlineMs > 0 && deadlineMs <= DEADLINE_MS_MAX)) {
      throw new RangeError(`deadlineMs must be above 0 and at most ${DEADLINE_MS_MAX}, got ${deadlineMs}`);
    }
    if (ticket.length !== PEER_TICKET_BYTES) {
      throw new TypeError(`ticket must be ${PEER_TICKET_BYTES} bytes, got ${ticket.length}`);
    }
    await new Promise<void>((resolve, reject) => {
      const alive = setTimeout(() => {}, deadlineMs + SETTLE_MS);
      const slot = takeSlot(() => {
        clearTimeout(alive);
        native.peerTake(this.#peer, slot, rows);
        resolve();
      });
      const micros = Math.ceil(deadlineMs * 1000);
      const errno = native.peerReceive(this.#peer, slot, address, ticket, rows, count, micros);
      if (errno === 0) return;
      clearTimeout(alive);
      freeSlot(slot);
      reject(refusal(errno, 'a block to receive is empty, too long or outside its buffer'));
    });
  }

  async #stop(): Promise<void> {
    if (this.#peer === 0) return;
    const alive = setTimeout(() => {}, DEADLINE_MS_MAX);
    await new Promise<void>((resolve) => {
      let threads = 2;
      const ended = (): void => {
        if (--threads === 0) resolve();
      };
      native.stopPeer(this.#peer, takeSlot(ended), takeSlot(ended));
    });
    clearTimeout(alive);
    native.peerCounters(this.#peer, this.#values);
    native.closePeer(this.#peer);
  }

  #checkAlive(): void {
    if (this.#peer !== 0 && this.#stopping === undefined) return;
    throw new RefillError('ERR_NODE_CLOSED', 'the transport is not running');
  }
}

/**
 * A transport over TCP on an engine's memory. `start` makes it listen and gives it its address; it is stopped before
 * the engine. Fails to start with `ERR_CONFIG` when it cannot listen there.
 *
 * @example
 * const transport = createPeerTransport({ io, host: '10.0.0.7', port: 7100 });
 * await transport.start();
 * const { ticket } = transport.offer(rows, count, 5_000, () => unpin(rows));
 */
export function createPeerTransport(options: PeerTransportOptions): TcpPeerTransport {
  return new TcpPeerTransport(options);
}

function checkCount(rows: Uint32Array, count: number, words: number): void {
  if (Number.isInteger(count) && count > 0 && count <= PEER_BLOCKS_MAX && rows.length >= count * words)
    return;
  throw new RangeError(`count must be 1..${PEER_BLOCKS_MAX} rows of ${words} words, got ${count}`);
}

function refusal(errno: number, what: string): Error {
  if (errno === ERANGE) return new RangeError(what);
  return new RefillError('ERR_NODE_CLOSED', 'the transport or its engine is stopped', { errno });
}
