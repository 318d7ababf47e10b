import { type CallOptions, RefillError } from '@refill/interface';
import { Arena } from './arena.ts';
import { NodeConnection } from './connection.ts';
import { bounded, deadlineMsOf, Remaining } from './deadline.ts';
import { unlessNodeGone } from './node-gone.ts';
import type { ClientParts } from './parts.ts';

const BACKOFF_MS_MIN = 10;
const BACKOFF_MS_MAX = 1_000;

/**
 * The way to one node. A lost connection is replaced when the next call needs one. While the node stays away there is
 * one attempt a pause, which doubles from 10 ms to 1 s; calls between two attempts fail at once. A connection that comes back to the same incarnation of the node (epoch)
 * keeps the mapping of its arena.
 */
export class Link {
  readonly parts: ClientParts;
  readonly #socketPath: string;
  #connection: NodeConnection | undefined;
  #opening: Promise<NodeConnection> | undefined;
  #arena: { epoch: number; fdSocketPath: string; arena: Arena } | undefined;
  #backoffMs = 0;
  /** While the node is away calls fail at once: to an engine a slow answer is worse than none. */
  #pause: { untilMs: number; error: unknown } | undefined;
  #closed = false;

  constructor(socketPath: string, parts: ClientParts) {
    this.#socketPath = socketPath;
    this.parts = parts;
  }

  /** The connection, while there is one. */
  get current(): NodeConnection | undefined {
    return this.#connection;
  }

  /** A connection, made if need be. Several callers share one attempt; each waits no longer than its own options say. */
  ready(options: CallOptions | undefined): Promise<NodeConnection> {
    if (this.#closed) return Promise.reject(new RefillError('ERR_NODE_CLOSED', 'this store was closed'));
    if (this.#connection !== undefined) return Promise.resolve(this.#connection);
    if (this.#pause !== undefined && this.#opening === undefined) {
      if (this.parts.clock.nowMs() < this.#pause.untilMs) return Promise.reject(this.#pause.error);
      this.#pause = undefined;
    }
    this.#opening ??= this.#open(deadlineMsOf(options)).finally(() => {
      this.#opening = undefined;
    });
    return bounded(this.parts.clock, 'connecting to the node', this.#opening, options ?? {});
  }

  close(): void {
    this.#closed = true;
    this.#connection?.lose(new RefillError('ERR_NODE_CLOSED', 'this store was closed'));
    this.#dropArena();
  }

  async #open(deadlineMs: number): Promise<NodeConnection> {
    const { clock } = this.parts;
    const remaining = new Remaining(clock, { deadlineMs });
    const connection = new NodeConnection(this.#socketPath, this.parts);
    try {
      const welcome = await connection.hello(remaining.options());
      const arena = await this.#map(welcome, remaining);
      if (connection.lost !== undefined) throw connection.lost;
      connection.opened(welcome, arena);
    } catch (error) {
      connection.lose(error as Error);
      throw this.#failed(this.#explained(error));
    }
    if (this.#closed) {
      connection.lose();
      this.#dropArena();
      throw new RefillError('ERR_NODE_CLOSED', 'this store was closed');
    }
    this.#backoffMs = 0;
    this.#connection = connection;
    connection.onLost(() => {
      this.#connection = undefined;
    });
    return connection;
  }

  async #map(welcome: { epoch: number; fdSocketPath: string }, remaining: Remaining): Promise<Arena> {
    const known = this.#arena;
    if (known?.epoch === welcome.epoch && known.fdSocketPath === welcome.fdSocketPath) return known.arena;
    this.#dropArena();
    const { deadlineMs } = remaining.options();
    const mapped = await unlessNodeGone(
      this.parts.sharedMemory.mapArena(welcome.fdSocketPath, {
        deadlineMs: deadlineMs ?? remaining.deadlineMs,
      }),
    );
    const arena = new Arena(mapped);
    this.#arena = { epoch: welcome.epoch, fdSocketPath: welcome.fdSocketPath, arena };
    return arena;
  }

  #dropArena(): void {
    this.#arena?.arena.drop();
    this.#arena = undefined;
  }

  /** Starts a pause in which calls fail with this error. Clients of one node must not all try again in one instant. */
  #failed(error: unknown): unknown {
    const { clock, chance } = this.parts;
    this.#backoffMs = Math.min(BACKOFF_MS_MAX, Math.max(BACKOFF_MS_MIN, this.#backoffMs * 2));
    this.#pause = { untilMs: clock.nowMs() + this.#backoffMs * (0.5 + chance.unit() / 2), error };
    return error;
  }

  #explained(error: unknown): unknown {
    if (!(error instanceof RefillError) || error.code !== 'ERR_NODE_CLOSED') return error;
    const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED' && code !== 'EACCES') return error;
    const why = code === 'EACCES' ? 'its socket belongs to another user' : 'no node listens there';
    return new RefillError('ERR_NODE_CLOSED', `cannot connect to ${this.#socketPath}: ${why}`, {
      cause: error.cause,
      fix: code === 'EACCES' ? 'Run as the user of the node' : 'Start one with: refill serve',
    });
  }
}
