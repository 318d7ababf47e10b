import { createServer, type Socket } from 'node:net';
import type { Logger, Startable } from '@libp2p/interface';
import {
  BLOCK_BYTES_MAX,
  type Clock,
  DEADLINE_MS_MAX,
  FRAME_BYTES_MAX,
  FrameWriter,
  KEYS_PER_CALL_MAX,
  PANE_BYTES,
  REGIONS_PER_CLIENT_MAX,
  RefillError,
  type StoreNode,
  type Welcome,
  WIRE_VERSION_MAX,
  writeError,
} from '@refill/interface';
import { newServerCounters, SERVER_BOUNDS, type ServerBounds, type ServerCounters } from './bounds.ts';
import { type PassedFd, ServerConnection } from './connection.ts';
import { publishSocket } from './socket-path.ts';

export interface ServeNodeParts {
  /** Started and stopped by its owner, around the server. */
  node: StoreNode;
  clock: Clock;
  log: Logger;
  /** Takes the descriptor that a client has passed under a token; without it regions are registered by path only. */
  takePassedFd?: (token: Uint8Array) => PassedFd | undefined;
}

export interface ServeNodeOptions {
  /** Unix socket for clients: created with mode 0600, at most 106 bytes. */
  socketPath: string;
  /** Unix socket that hands out the arena's file descriptor; told to clients. */
  fdSocketPath: string;
  /** Panes in which the arena is cut; default 1 GiB. */
  paneBytes?: number;
  bounds?: Partial<ServerBounds>;
}

export interface NodeServer extends Startable {
  readonly counters: ServerCounters;
}

/** Time `stop` waits for clients to hang up. */
const STOP_MS = 1_000;

/**
 * Serves a node on a Unix socket. `start` rejects with `ERR_NODE_IDENTITY_TAKEN` when a live node listens there and
 * with `ERR_CONFIG` when the path cannot be used. `stop` tells clients, closes their sessions and removes the file.
 */
export function serveNode(parts: ServeNodeParts, options: ServeNodeOptions): NodeServer {
  const { node, clock, log } = parts;
  const bounds: ServerBounds = { ...SERVER_BOUNDS, ...options.bounds };
  const counters = newServerCounters();
  const connections = new Set<ServerConnection>();
  let unpublish: (() => Promise<void>) | undefined;
  let onEmpty: (() => void) | undefined;
  const welcome = (): Welcome => {
    const status = node.status();
    return {
      version: WIRE_VERSION_MAX,
      epoch: status.epoch,
      arenaBytes: status.arena.bytes,
      paneBytes: options.paneBytes ?? PANE_BYTES,
      frameBytesMax: FRAME_BYTES_MAX,
      keysPerCallMax: KEYS_PER_CALL_MAX,
      blockBytesMax: BLOCK_BYTES_MAX,
      deadlineMsMax: DEADLINE_MS_MAX,
      regionsMax: REGIONS_PER_CLIENT_MAX,
      requestsMax: bounds.requestsMax,
      nodeName: node.nodeName,
      clusterId: node.clusterId,
      fdSocketPath: options.fdSocketPath,
    };
  };
  const server = createServer((socket) => accept(socket));

  function accept(socket: Socket): void {
    if (connections.size >= bounds.connectionsMax) {
      refuse(socket);
      return;
    }
    counters.connections++;
    const connection = new ServerConnection({ ...parts, bounds, counters, welcome }, socket, () => {
      connections.delete(connection);
      counters.connectionsNow = connections.size;
      if (connections.size === 0) onEmpty?.();
    });
    connections.add(connection);
    counters.connectionsNow = connections.size;
  }

  function refuse(socket: Socket): void {
    counters.connectionsRefused++;
    const writer = new FrameWriter();
    const error = new RefillError(
      'ERR_LIMIT',
      `the node serves ${bounds.connectionsMax} connections already`,
    );
    writeError(writer, 0, error, { fatal: true });
    socket.on('error', (failure) => log.trace('refused connection: %s', failure.message));
    for (const part of writer.take()) socket.write(part);
    socket.destroySoon();
  }

  return {
    counters,
    async start() {
      unpublish = await publishSocket(server, options.socketPath);
      server.on('error', (error) => log.error('server: %s', error.message));
      log('serving %s on %s', node.nodeName, options.socketPath);
    },
    async stop() {
      if (unpublish === undefined) return;
      await unpublish();
      unpublish = undefined;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const gone = new RefillError('ERR_NODE_CLOSED', `node ${node.nodeName} is shutting down`);
      for (const connection of connections) connection.end(gone);
      if (connections.size > 0) {
        await new Promise<void>((resolve) => {
          onEmpty = resolve;
          clock.after(STOP_MS, resolve);
        });
      }
      for (const connection of connections) connection.destroy();
      await closed;
    },
  };
}
