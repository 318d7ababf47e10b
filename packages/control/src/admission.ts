import { createHmac, timingSafeEqual } from 'node:crypto';
import { type PeerName, RefillError } from '@refill/interface';
import { CLUSTER_BYTES_MAX } from './bounds.ts';

/**
 * Bodies of the frames by which a member is admitted. The encrypted connection has proven both peer ids; this proves
 * that both know the cluster's secret, without sending it: each side answers the other's nonce by an HMAC-SHA256 over
 * both nonces, both peer ids, the cluster, the version and its role. So a proof is worth nothing on any other
 * connection, to anybody else, or in the other direction. Who dials proves first: a stranger who dials learns no
 * digest of the secret to guess from.
 */

/** "RFCT". */
const MAGIC = 0x54434652;
export const VERSION_MIN = 1;
export const VERSION_MAX = 1;
export const NONCE_BYTES = 32;
export const PROOF_BYTES = 32;
const HELLO_BYTES = 8 + NONCE_BYTES;

/** First frame of who dials. Its layout never changes, in any version. */
export interface Hello {
  readonly versionMin: number;
  readonly versionMax: number;
  readonly nonce: Uint8Array;
  readonly cluster: string;
}

export interface Challenge {
  readonly version: number;
  readonly nonce: Uint8Array;
}

export function encodeHello({ versionMin, versionMax, nonce, cluster }: Hello): Uint8Array {
  const name = Buffer.from(cluster);
  const body = Buffer.alloc(HELLO_BYTES + name.length);
  body.writeUInt32LE(MAGIC, 0);
  body.writeUInt16LE(versionMin, 4);
  body.writeUInt16LE(versionMax, 6);
  body.set(nonce, 8);
  body.set(name, HELLO_BYTES);
  return body;
}

export function decodeHello(bytes: Uint8Array): Hello {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (
    body.length < HELLO_BYTES ||
    body.length > HELLO_BYTES + CLUSTER_BYTES_MAX ||
    body.readUInt32LE(0) !== MAGIC
  ) {
    throw new RefillError('ERR_PROTOCOL', 'the peer does not speak the control protocol of Refill');
  }
  return {
    versionMin: body.readUInt16LE(4),
    versionMax: body.readUInt16LE(6),
    nonce: body.subarray(8, HELLO_BYTES),
    cluster: body.toString('utf8', HELLO_BYTES),
  };
}

export function encodeChallenge({ version, nonce }: Challenge): Uint8Array {
  const body = Buffer.alloc(4 + NONCE_BYTES);
  body.writeUInt16LE(version, 0);
  body.set(nonce, 4);
  return body;
}

export function decodeChallenge(bytes: Uint8Array): Challenge {
  if (bytes.length !== 4 + NONCE_BYTES) {
    throw new RefillError('ERR_PROTOCOL', 'the peer does not speak the control protocol of Refill');
  }
  return { version: bytes[0]! | (bytes[1]! << 8), nonce: bytes.subarray(4) };
}

/** The highest version that both speak. `ERR_VERSION` when there is none. */
export function chooseVersion({ versionMin, versionMax }: Pick<Hello, 'versionMin' | 'versionMax'>): number {
  const version = Math.min(versionMax, VERSION_MAX);
  if (version >= Math.max(versionMin, VERSION_MIN)) return version;
  throw new RefillError(
    'ERR_VERSION',
    `the peer speaks control versions ${versionMin} to ${versionMax}, this side ${VERSION_MIN} to ${VERSION_MAX}`,
  );
}

/** What both sides of one admission know when they prove themselves. */
export interface Session {
  readonly secret: Uint8Array;
  readonly cluster: string;
  readonly version: number;
  readonly dialer: PeerName;
  readonly listener: PeerName;
  readonly dialerNonce: Uint8Array;
  readonly listenerNonce: Uint8Array;
}

export function proofOf(role: 'dialer' | 'listener', session: Session): Uint8Array {
  const hmac = createHmac('sha256', session.secret);
  const texts = ['refill control admission', role, `${session.version}`, session.dialer, session.listener];
  for (const text of [...texts, session.cluster]) {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    hmac.update(length).update(bytes);
  }
  return hmac.update(session.dialerNonce).update(session.listenerNonce).digest();
}

/** Compares in a time that tells nothing. */
export function isProof(proof: Uint8Array, role: 'dialer' | 'listener', session: Session): boolean {
  return proof.length === PROOF_BYTES && timingSafeEqual(proof, proofOf(role, session));
}
