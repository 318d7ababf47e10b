/** What one connection, and the server as a whole, may hold. */
export interface ServerBounds {
  connectionsMax: number;
  /** Requests under way for one connection; beyond, the server stops reading from it. */
  requestsMax: number;
  /** Bytes of requests under way and of their replies, for one connection; beyond, the server stops reading. */
  requestBytesMax: number;
  /** Bytes of replies that a client has not taken; beyond, the server stops reading from it. */
  outgoingBytesMax: number;
  /** A client that takes nothing for so long while replies wait is disconnected. */
  stallMs: number;
  /** Time for the first frame. */
  helloMs: number;
  /** Time a client that is being disconnected has to hang up, so that it stops writing into reserved slots first. */
  lingerMs: number;
}

export const SERVER_BOUNDS: ServerBounds = {
  connectionsMax: 1024,
  requestsMax: 1024,
  requestBytesMax: 16 * 1024 * 1024,
  outgoingBytesMax: 4 * 1024 * 1024,
  stallMs: 30_000,
  helloMs: 5_000,
  lingerMs: 5_000,
};

/** Counters since the start. */
export interface ServerCounters {
  connections: number;
  connectionsNow: number;
  connectionsRefused: number;
  frames: number;
  protocolErrors: number;
  requestErrors: number;
  cancelled: number;
  /** Times that reading from a connection was paused. */
  pauses: number;
  /** Clients disconnected for taking nothing. */
  stalled: number;
}

export function newServerCounters(): ServerCounters {
  return {
    connections: 0,
    connectionsNow: 0,
    connectionsRefused: 0,
    frames: 0,
    protocolErrors: 0,
    requestErrors: 0,
    cancelled: 0,
    pauses: 0,
    stalled: 0,
  };
}
