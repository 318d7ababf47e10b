import { FILE_IDENTITY_BYTES } from '@refill/interface';
import { type HeaderIdentity, viewOf, writeU64 } from './segment-bytes.ts';

/** The part of a block's identity that all blocks of a segment share, as `BlockIO.open` takes it. */
export function fileIdentity(identity: HeaderIdentity): Uint8Array {
  const bytes = new Uint8Array(FILE_IDENTITY_BYTES);
  bytes.set(identity.namespaceId, 0);
  bytes.set(identity.segmentId, 16);
  writeU64(viewOf(bytes), 32, identity.epoch);
  return bytes;
}
