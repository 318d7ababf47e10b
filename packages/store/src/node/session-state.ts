import { RefillError } from '@refill/interface';
import { Pins } from '../arena/pins.ts';
import { sameBytes } from '../segment/segment-bytes.ts';
import type { NodeCore } from './node-parts.ts';

/** A call that waits; ended at once when its session closes. */
export interface WaitingCall {
  cancel(): void;
}

/** What a session holds, for the steps of its calls. */
export interface SessionState {
  readonly core: NodeCore;
  /** Never used again in the life of a node: what a closed session left cannot be taken for another's. */
  readonly number: number;
  isClosed: boolean;
  /** Namespaces that this session opened, by index, with the id that the index stood for then. */
  readonly namespaces: Map<number, Uint8Array>;
  /** Handed out by reads, until `release`. */
  readonly pins: Pins;
  /** Kept by `pin`, until `unpin`. */
  readonly kept: Pins;
  readonly reservations: Pins;
  /** Acquisitions of fill leases (`FillId`). */
  readonly fills: Set<number>;
  readonly waiting: Set<WaitingCall>;
  /** Keys of reads under way, which may become pins. */
  pendingPins: number;
  /** Blocks lost that this session was told of. */
  lostSeen: number;
}

export function createSessionState(core: NodeCore, number: number): SessionState {
  return {
    core,
    number,
    isClosed: false,
    namespaces: new Map(),
    pins: new Pins(),
    kept: new Pins(),
    reservations: new Pins(),
    fills: new Set(),
    waiting: new Set(),
    pendingPins: 0,
    lostSeen: core.behind.lost,
  };
}

export function checkOpen(state: SessionState): void {
  if (state.isClosed) throw new RefillError('ERR_NODE_CLOSED', 'the session is closed');
}

/** Refuses a namespace that the session did not open, or whose index the directory no longer knows as the same (K6). */
export function checkNamespace(state: SessionState, namespace: number): void {
  const opened = state.namespaces.get(namespace);
  if (opened === undefined) {
    throw new RefillError('ERR_NAMESPACE_UNKNOWN', `namespace ${namespace} is not open in this session`, {
      fix: 'Open it first',
    });
  }
  const { id } = state.core.directory.namespace(namespace) ?? {};
  if (id === opened || (id !== undefined && sameBytes(id, opened))) return;
  throw new RefillError(
    'ERR_NAMESPACE_UNKNOWN',
    `namespace ${namespace} was opened before the metadata was made anew, which does not know it`,
    { fix: 'Open it again' },
  );
}

/** Refuses a read of `count` keys that could exceed the pins of a session. */
export function checkPinRoom(state: SessionState, count: number): void {
  const held = state.pins.total + state.kept.total + state.pendingPins;
  if (held + count > state.core.options.pinsPerSessionMax) {
    throw new RefillError(
      'ERR_LIMIT',
      `${count} keys more would exceed ${state.core.options.pinsPerSessionMax} pins, ${held} are held`,
      { fix: 'Release slots, or read fewer keys a call' },
    );
  }
}
