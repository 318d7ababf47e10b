import {
  FINGERPRINT_BYTES_MAX,
  type Fingerprint,
  fingerprintBytes,
  type NamespacePolicy,
  namespaceId,
  PAGE_BYTES,
  SEGMENT_BYTES_MAX,
} from '@refill/interface';
import {
  beginHeader,
  endHeader,
  type HeaderIdentity,
  isZero,
  openHeader,
  readU64,
  sameBytes,
  writeU64,
} from './segment-bytes.ts';
import { MAGIC_SEGMENT, NODE_NAME_BYTES_MAX, POLICY_COMPRESS, SEGMENT_HEADER } from './segment-format.ts';

/** The first page of a segment: enough to restore its namespace when every database is lost. */
export interface SegmentHeader extends HeaderIdentity {
  createdMs: number;
  sizeBytes: number;
  node: string;
  fingerprint: Fingerprint;
  policy: NamespacePolicy;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Writes the header into `page`, 4,096 bytes. */
export function encodeSegmentHeader(page: Uint8Array, header: SegmentHeader): void {
  const node = new TextEncoder().encode(header.node);
  if (node.length === 0 || node.length > NODE_NAME_BYTES_MAX) {
    throw new RangeError(
      `node must be 1..${NODE_NAME_BYTES_MAX} bytes, got ${node.length}; give a shorter name`,
    );
  }
  const fingerprint = fingerprintBytes(header.fingerprint);
  const view = beginHeader(page, MAGIC_SEGMENT, header);
  writeU64(view, SEGMENT_HEADER.createdMs, Math.floor(header.createdMs));
  writeU64(view, SEGMENT_HEADER.sizeBytes, header.sizeBytes);
  view.setUint16(SEGMENT_HEADER.nodeBytes, node.length, true);
  view.setUint16(SEGMENT_HEADER.fingerprintBytes, fingerprint.length, true);
  view.setUint32(SEGMENT_HEADER.policy, header.policy.compress ? POLICY_COMPRESS : 0, true);
  page.set(node, SEGMENT_HEADER.node);
  page.set(fingerprint, SEGMENT_HEADER.fingerprint);
  endHeader(page);
}

/** The header, or `undefined` when it is damaged. Throws `ERR_VERSION` for one of another version. */
export function decodeSegmentHeader(page: Uint8Array): SegmentHeader | undefined {
  const header = openHeader(page, MAGIC_SEGMENT, 'a segment');
  if (header === undefined || header.bytes.length !== PAGE_BYTES) return undefined;
  const { view, bytes } = header;
  const createdMs = readU64(view, SEGMENT_HEADER.createdMs);
  const sizeBytes = readU64(view, SEGMENT_HEADER.sizeBytes);
  const nodeBytes = view.getUint16(SEGMENT_HEADER.nodeBytes, true);
  const jsonBytes = view.getUint16(SEGMENT_HEADER.fingerprintBytes, true);
  const policy = view.getUint32(SEGMENT_HEADER.policy, true);
  const nodeEnd = SEGMENT_HEADER.node + nodeBytes;
  const jsonEnd = SEGMENT_HEADER.fingerprint + jsonBytes;
  const plausible =
    createdMs >= 0 &&
    sizeBytes % PAGE_BYTES === 0 &&
    sizeBytes >= 2 * PAGE_BYTES &&
    sizeBytes <= SEGMENT_BYTES_MAX &&
    nodeBytes > 0 &&
    nodeBytes <= NODE_NAME_BYTES_MAX &&
    jsonBytes <= FINGERPRINT_BYTES_MAX &&
    (policy & ~POLICY_COMPRESS) === 0 &&
    isZero(bytes, nodeEnd, SEGMENT_HEADER.fingerprint) &&
    isZero(bytes, jsonEnd, SEGMENT_HEADER.crc);
  if (!plausible) return undefined;
  try {
    const fingerprint = JSON.parse(
      decoder.decode(bytes.subarray(SEGMENT_HEADER.fingerprint, jsonEnd)),
    ) as Fingerprint;
    // The namespace's id is a digest of the fingerprint: one proves the other, and the JSON is well-formed.
    if (!sameBytes(namespaceId(fingerprint), header.namespaceId)) return undefined;
    return {
      segmentId: header.segmentId,
      namespaceId: header.namespaceId,
      epoch: header.epoch,
      createdMs,
      sizeBytes,
      node: decoder.decode(bytes.subarray(SEGMENT_HEADER.node, nodeEnd)),
      fingerprint,
      policy: { compress: (policy & POLICY_COMPRESS) !== 0 },
    };
  } catch {
    return undefined;
  }
}
