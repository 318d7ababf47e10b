import { type PeerName, RefillError } from '@refill/interface';
import { CLUSTER_BYTES_MAX } from './bounds.ts';

/** By what members know one another. A secret, a list, or both; with both a peer must satisfy both. */
export interface Credentials {
  /** Id of the cluster, at most 128 bytes: peers of another one are refused. */
  readonly cluster: string;
  /** The cluster's secret: 16 or more random bytes. A sentence that can be guessed admits whoever guesses it. */
  readonly secret?: Uint8Array;
  /** Peers that may join; everybody with the secret when it is absent. */
  readonly allow?: readonly PeerName[];
}

const SECRET_BYTES_MIN = 16;
/** Stands for a secret where only the list counts. */
const NO_SECRET = new Uint8Array(1);

/** `Credentials`, checked. */
export class Membership {
  readonly cluster: string;
  readonly secret: Uint8Array;
  readonly #allow: ReadonlySet<PeerName> | undefined;

  constructor({ cluster, secret, allow }: Credentials) {
    if (cluster === '' || Buffer.byteLength(cluster) > CLUSTER_BYTES_MAX) {
      throw new RangeError(`cluster is "${cluster}"; give its id, at most ${CLUSTER_BYTES_MAX} bytes`);
    }
    if (secret === undefined && allow === undefined) {
      throw new TypeError('secret and allow are both absent; give one, else anybody could join');
    }
    if (secret !== undefined && secret.length < SECRET_BYTES_MIN) {
      throw new RangeError(`secret is ${secret.length} bytes; give ${SECRET_BYTES_MIN} or more random ones`);
    }
    this.cluster = cluster;
    this.secret = secret?.slice() ?? NO_SECRET;
    this.#allow = allow === undefined ? undefined : new Set(allow);
  }

  /** `ERR_UNAUTHORIZED` when the peer is not on the list. */
  checkListed(peer: PeerName): void {
    if (this.#allow === undefined || this.#allow.has(peer)) return;
    throw new RefillError(
      'ERR_UNAUTHORIZED',
      `${peer} is not on the list of peers that may join ${this.cluster}`,
    );
  }

  /** `ERR_NOT_A_ROOT` when the peer is of another cluster. */
  checkCluster(peer: PeerName, cluster: string): void {
    if (cluster === this.cluster) return;
    throw new RefillError('ERR_NOT_A_ROOT', `${peer} belongs to cluster ${cluster}, not to ${this.cluster}`);
  }
}
