import type { Connection, PeerId, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { type Chance, type Clock, type PeerAddress, RefillError } from '@refill/interface';
import type { Libp2p } from 'libp2p';
import { join } from './admit.ts';
import { ADMISSION_MS, DIAL_ADDRESS_MS } from './bounds.ts';
import type { Membership } from './credentials.ts';
import { unreachable } from './errors.ts';
import { FramedStream } from './framed-stream.ts';

/** The one libp2p protocol that carries all of control; what is asked in it has names of its own. */
export const CONTROL_PROTOCOL = '/refill/control/1';

export interface ConnectParts {
  readonly node: Libp2p;
  readonly clock: Clock;
  readonly chance: Pick<Chance, 'bytes'>;
  readonly membership: Membership;
}

/**
 * Opens an admitted stream to a peer: on a connection that is there, else on one to the first address that answers,
 * tried in order. Rejects with the peer's refusal, or `ERR_PEER_UNREACHABLE` with the last reason.
 */
export async function connect(
  parts: ConnectParts,
  to: PeerAddress & { readonly id: PeerId },
  signal: AbortSignal,
): Promise<{ stream: FramedStream; connection: Connection }> {
  parts.membership.checkListed(to.peer);
  let reason: unknown = new Error('no address of it is known');
  for (const open of ways(parts, to)) {
    let connection: Connection | undefined;
    try {
      signal.throwIfAborted();
      connection = await within(parts.clock, DIAL_ADDRESS_MS, signal, open);
      const { newStream } = connection;
      const options = { maxOutboundStreams: 8, negotiateFully: true };
      const raw = await within(parts.clock, ADMISSION_MS, signal, (signal) =>
        newStream(CONTROL_PROTOCOL, { ...options, signal }),
      );
      return { stream: await admitted(parts, to, raw), connection };
    } catch (error) {
      connection?.abort(error instanceof Error ? error : new Error('no stream could be opened'));
      // A refusal would be the same at any other address: they lead to the same key.
      if (error instanceof RefillError && error.code !== 'ERR_DEADLINE') throw error;
      reason = error;
    }
  }
  throw unreachable(to.peer, reason);
}

/** Ways to get a connection, best first. */
function* ways(
  { node }: ConnectParts,
  { id, addresses }: PeerAddress & { readonly id: PeerId },
): Generator<(signal: AbortSignal) => Promise<Connection>> {
  for (const connection of node.getConnections(id)) {
    if (connection.status === 'open') yield async () => connection;
  }
  for (const address of addresses) {
    yield async (signal) => {
      const suffix = `/p2p/${id}`;
      const full = multiaddr(address.includes('/p2p/') ? address : `${address}${suffix}`);
      return node.dial(full, { signal });
    };
  }
}

/** Runs the dialling side of admission, within its time. */
function admitted(parts: ConnectParts, to: PeerAddress, raw: Stream): Promise<FramedStream> {
  const { node, clock, chance, membership } = parts;
  const stream = new FramedStream(raw);
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ADMISSION_MS, () => {
      reject(new RefillError('ERR_DEADLINE', `${to.peer} did not finish admission in ${ADMISSION_MS} ms`));
    });
    stream.onEnd = (cause) => {
      cancel();
      // Frames are no longer looked at: what it ended with is all that is known.
      reject(cause instanceof RefillError ? cause : unreachable(to.peer, cause));
    };
    join(stream, { self: `${node.peerId}`, peer: to.peer }, { membership, chance }, (refusal) => {
      cancel();
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      stream.onEnd = () => {};
      resolve(stream);
    });
  });
}

/** Aborts what takes longer than `ms`. */
async function within<T>(
  clock: Clock,
  ms: number,
  outer: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const cancel = clock.after(ms, () => controller.abort(new Error(`no answer in ${ms} ms`)));
  const onAbort = (): void => controller.abort(outer.reason);
  outer.addEventListener('abort', onAbort);
  try {
    return await run(controller.signal);
  } finally {
    cancel();
    outer.removeEventListener('abort', onAbort);
  }
}
