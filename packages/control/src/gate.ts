import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Clock } from '@refill/interface';
import { ADMISSION_MS, PENDING_MAX, PENDING_PER_HOST_MAX } from './bounds.ts';

/**
 * Inbound connections that are not admitted yet: few in all, fewer of one host, none for long. So strangers can take
 * neither the memory nor the time of members, and one host's flood leaves room for newcomers from others.
 */
export class Gate {
  readonly #clock: Clock;
  readonly #onRefused: () => void;
  /** By the remote end's address and port, which no two open connections share. */
  readonly #pending = new Map<string, { host: string; release: () => void }>();
  readonly #pendingOfHost = new Map<string, number>();

  /** `onRefused` is called for each connection that was turned away, or ended without being admitted. */
  constructor(clock: Clock, onRefused: () => void) {
    this.#clock = clock;
    this.#onRefused = onRefused;
  }

  /** Is the connection from there one that was not admitted yet? */
  isPending(remote: Multiaddr): boolean {
    return this.#pending.has(endOf(remote));
  }

  readonly gater: ConnectionGater = {
    denyInboundConnection: (connection) => {
      const host = hostOf(connection.remoteAddr);
      const ofHost = this.#pendingOfHost.get(host) ?? 0;
      if (this.#pending.size >= PENDING_MAX || ofHost >= PENDING_PER_HOST_MAX) {
        this.#onRefused();
        return true;
      }
      this.#hold(connection, host, ofHost);
      return false;
    },
  };

  /** The connection from there is a member's: it counts no longer, and may stay. */
  admit(remote: Multiaddr): void {
    this.#pending.get(endOf(remote))?.release();
  }

  #hold(connection: MultiaddrConnection, host: string, ofHost: number): void {
    const key = endOf(connection.remoteAddr);
    this.#pendingOfHost.set(host, ofHost + 1);
    const cancel = this.#clock.after(ADMISSION_MS, () => connection.abort(new Error('not admitted in time')));
    const release = (): void => {
      cancel();
      this.#pending.delete(key);
      const left = this.#pendingOfHost.get(host)! - 1;
      if (left === 0) this.#pendingOfHost.delete(host);
      else this.#pendingOfHost.set(host, left);
    };
    const entry = { host, release };
    this.#pending.set(key, entry);
    connection.addEventListener('close', () => {
      if (this.#pending.get(key) !== entry) return;
      release();
      this.#onRefused();
    });
  }
}

function hostOf(address: Multiaddr): string {
  return `${address.getComponents()[0]?.value}`;
}

/** Address and port: libp2p appends the peer's id to one and the same address once it knows it. */
function endOf(address: Multiaddr): string {
  const [host, port] = address.getComponents();
  return `${host?.value} ${port?.value}`;
}
