import type { Connection, Listener, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import {
  type Chance,
  type Clock,
  CONTROL_BYTES_MAX,
  type ControlCounters,
  type ControlHandler,
  type ControlNetwork,
  DEADLINE_MS_MAX,
  invariant,
  type PeerAddress,
  type PeerName,
  RefillError,
} from '@refill/interface';
import type { Libp2p } from 'libp2p';
import { admit } from './admit.ts';
import { AnswerLink } from './answer-link.ts';
import { ADMISSION_MS, PROTOCOL_BYTES_MAX, STOP_MS, STREAMS_MAX } from './bounds.ts';
import { CONTROL_PROTOCOL } from './connect.ts';
import { type Credentials, Membership } from './credentials.ts';
import { closed } from './errors.ts';
import { FramedStream } from './framed-stream.ts';
import { Gate } from './gate.ts';
import type { Identity } from './identity.ts';
import { createNode } from './libp2p-node.ts';
import { OwnCalls } from './own-calls.ts';
import { Peer } from './peer.ts';

export interface ControlParts {
  readonly identity: Identity;
  readonly clock: Clock;
  readonly chance: Chance;
}

export interface ControlOptions extends Credentials {
  /** Multiaddrs to listen on. Loopback and any free port unless given: a single machine needs no more. */
  readonly listen?: readonly string[];
  /** Multiaddrs that others are told to dial. Those listened on unless given. */
  readonly announce?: readonly string[];
}

/** `ControlNetwork` on libp2p: TCP, noise, yamux and nothing else. */
export function createControl(parts: ControlParts, options: ControlOptions): ControlNetwork {
  return new Libp2pControl(parts, options);
}

interface Life {
  readonly node: Libp2p;
  readonly listeners: readonly Listener[];
  readonly peers: Map<PeerName, Peer>;
  readonly answering: Set<AnswerLink>;
  readonly own: OwnCalls;
}

class Libp2pControl implements ControlNetwork {
  readonly counters: ControlCounters = {
    requests: 0,
    answers: 0,
    bytesSent: 0,
    bytesReceived: 0,
    refused: 0,
    timeouts: 0,
  };
  readonly #parts: ControlParts;
  readonly #options: ControlOptions;
  readonly #membership: Membership;
  readonly #handlers = new Map<string, ControlHandler>();
  #life: Life | undefined;

  constructor(parts: ControlParts, options: ControlOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#membership = new Membership(options);
  }

  /** Addresses are known once it listens; those announced always are. */
  get self(): PeerAddress {
    const { announce } = this.#options;
    const listened = this.#life?.listeners.flatMap((listener) => listener.getAddrs().map(String)) ?? [];
    // One that leads nowhere from another host comes last.
    const isLoopback = (address: string): boolean => /^\/(ip4\/127\.|ip6\/::1\/)/.test(address);
    const sorted = listened.sort((a, b) => Number(isLoopback(a)) - Number(isLoopback(b)));
    return { peer: this.#parts.identity.peer, addresses: announce ?? sorted };
  }

  handle(protocol: string, handler: ControlHandler): void {
    invariant(this.#life === undefined, 'handlers are set before start');
    invariant(!this.#handlers.has(protocol), `one handler a protocol: ${protocol}`);
    checkProtocol(protocol);
    this.#handlers.set(protocol, handler);
  }

  async start(): Promise<void> {
    if (this.#life !== undefined) return;
    const gate = new Gate(this.#parts.clock, () => {
      this.counters.refused++;
    });
    const { listen = ['/ip4/127.0.0.1/tcp/0'] } = this.#options;
    const { node, listeners } = await createNode({
      privateKey: this.#parts.identity.privateKey,
      gater: gate.gater,
      listen,
    });
    const own = new OwnCalls(this.#parts.identity.peer, this.#handlers, this.#parts.clock, this.counters);
    const life: Life = { node, listeners, peers: new Map(), answering: new Set(), own };
    await node.handle(CONTROL_PROTOCOL, (stream, connection) => this.#admit(life, gate, stream, connection), {
      maxInboundStreams: STREAMS_MAX,
      maxOutboundStreams: STREAMS_MAX,
    });
    await node.start();
    this.#life = life;
  }

  async stop(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    for (const peer of life.peers.values()) peer.stop();
    life.own.stop();
    for (const link of [...life.answering]) link.end(closed());
    // Those who wait for an answer hear of it now, not when libp2p has said its farewells.
    for (const connection of life.node.getConnections()) connection.abort(closed());
    let cancel = (): void => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.#parts.clock.after(STOP_MS, resolve);
    });
    await Promise.race([Promise.resolve(life.node.stop()).catch(() => {}), late]);
    cancel();
  }

  async request(
    to: PeerAddress,
    protocol: string,
    body: Uint8Array,
    { deadlineMs }: { deadlineMs: number },
  ): Promise<Uint8Array> {
    if (!(deadlineMs > 0 && deadlineMs <= DEADLINE_MS_MAX)) {
      throw new RangeError(`deadlineMs is ${deadlineMs}; give 1 to ${DEADLINE_MS_MAX}`);
    }
    if (body.length > CONTROL_BYTES_MAX) {
      throw new RangeError(`body is ${body.length} bytes; give at most ${CONTROL_BYTES_MAX}`);
    }
    checkProtocol(protocol);
    const life = this.#life;
    if (life === undefined) throw closed();
    this.counters.requests++;
    this.counters.bytesSent += body.length;
    const answer =
      to.peer === this.#parts.identity.peer
        ? await life.own.request(protocol, body, deadlineMs)
        : await this.#peer(life, to.peer).request(to.addresses, protocol, body, deadlineMs);
    this.counters.bytesReceived += answer.length;
    return answer;
  }

  #peer(life: Life, name: PeerName): Peer {
    let peer = life.peers.get(name);
    if (peer === undefined) {
      const parts = {
        ...this.#parts,
        node: life.node,
        membership: this.#membership,
        onTimeout: () => {
          this.counters.timeouts++;
        },
      };
      peer = new Peer(parts, name, peerIdFromString(name));
      life.peers.set(name, peer);
    }
    return peer;
  }

  /** A stream that a peer opened: a stranger until it has proven otherwise, within its time. */
  #admit(life: Life, gate: Gate, raw: Stream, connection: Connection): void {
    const { clock, chance } = this.#parts;
    const peer = `${connection.remotePeer}`;
    const stream = new FramedStream(raw);
    const cancel = clock.after(ADMISSION_MS, () => stream.end(new Error('not admitted in time')));
    // The gate counts a connection that ends before it was admitted; one that was, is counted here.
    const refuse = (): void => {
      if (!gate.isPending(connection.remoteAddr)) this.counters.refused++;
    };
    stream.onEnd = (cause) => {
      cancel();
      if (!isNonsense(cause)) return;
      refuse();
      connection.abort(cause);
    };
    const ends = { self: `${life.node.peerId}`, peer };
    admit(stream, ends, { membership: this.#membership, chance }, (refusal) => {
      cancel();
      if (refusal !== undefined) {
        refuse();
        stream.finish();
        // Gives the refusal time to arrive; a connection that nobody closes is cut by the gate.
        connection.close().catch(() => {});
        return;
      }
      gate.admit(connection.remoteAddr);
      const parts = {
        clock,
        peer,
        handlers: this.#handlers,
        onRequest: (bytes: number) => {
          this.counters.bytesReceived += bytes;
        },
        onAnswer: (bytes: number) => {
          this.counters.answers++;
          this.counters.bytesSent += bytes;
        },
      };
      const link = new AnswerLink(parts, stream, (cause) => {
        life.answering.delete(link);
        if (!isNonsense(cause)) return;
        this.counters.refused++;
        connection.abort(cause);
      });
      life.answering.add(link);
    });
  }
}

function isNonsense(cause: unknown): cause is RefillError {
  return cause instanceof RefillError && cause.code === 'ERR_PROTOCOL';
}

function checkProtocol(protocol: string): void {
  if (/^[\x21-\x7e]+$/.test(protocol) && protocol.length <= PROTOCOL_BYTES_MAX) return;
  throw new RangeError(
    `protocol is "${protocol}"; give 1 to ${PROTOCOL_BYTES_MAX} printable ASCII characters`,
  );
}
