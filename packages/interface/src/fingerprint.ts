import { createHash } from 'node:crypto';
import { FINGERPRINT_BYTES_MAX } from './limits.ts';

/**
 * What makes two caches interchangeable. A key says nothing about model, dtype or layout, so a namespace does.
 * All fields take part in the namespace's identity; a reader whose fingerprint differs gets another namespace, or
 * `ERR_FINGERPRINT_MISMATCH` when it asks for the same `name`.
 */
export interface Fingerprint {
  /** Name that people use: `[A-Za-z0-9._/-]{1,128}`, unique in a root together with `owner`. */
  name: string;
  /** Tenant that owns the namespace. Default `default`. */
  owner?: string;
  model: string;
  /** Revision of the weights: a new revision is a new namespace. */
  revision?: string;
  /** For example `bfloat16`, `fp8_e4m3`. */
  dtype: string;
  /** Memory layout of one block, in the engine's words. */
  layout: string;
  tokensPerBlock: number;
  /** Ranks (shards) over which one chunk of tokens is spread; 1 when a block holds all. */
  ranks?: number;
  /** How keys were made, for example `sha256-chain`. */
  hashScheme?: string;
  /** Anything else that must match. */
  extra?: Record<string, string>;
}

const FIELDS = [
  'name',
  'owner',
  'model',
  'revision',
  'dtype',
  'layout',
  'tokensPerBlock',
  'ranks',
  'hashScheme',
  'extra',
] as const;
const STRINGS = ['name', 'owner', 'model', 'revision', 'dtype', 'layout', 'hashScheme'] as const;
const NAME = /^[A-Za-z0-9._/-]{1,128}$/;
/** No name that a language could take for a number: JavaScript orders those first. */
const EXTRA_NAME = /^[A-Za-z_][A-Za-z0-9._-]{0,63}$/;

/** The fingerprint with every default filled in, validated. Throws `TypeError` naming the field, the value and the fix. */
export function completeFingerprint(fingerprint: Fingerprint): Required<Fingerprint> {
  if (typeof fingerprint !== 'object' || fingerprint === null) {
    throw new TypeError(`fingerprint must be an object, got ${String(fingerprint)}`);
  }
  for (const field of Object.keys(fingerprint)) {
    if (!(FIELDS as readonly string[]).includes(field)) {
      throw new TypeError(
        `fingerprint.${field} is unknown; put engine-specific fields under fingerprint.extra`,
      );
    }
  }
  const complete: Required<Fingerprint> = {
    name: fingerprint.name,
    owner: fingerprint.owner ?? 'default',
    model: fingerprint.model,
    revision: fingerprint.revision ?? '',
    dtype: fingerprint.dtype,
    layout: fingerprint.layout,
    tokensPerBlock: fingerprint.tokensPerBlock,
    ranks: fingerprint.ranks ?? 1,
    hashScheme: fingerprint.hashScheme ?? 'sha256',
    extra: fingerprint.extra ?? {},
  };
  for (const field of STRINGS) {
    if (typeof complete[field] !== 'string') {
      throw new TypeError(`fingerprint.${field} must be a string, got ${JSON.stringify(complete[field])}`);
    }
  }
  for (const field of ['name', 'owner'] as const) {
    if (!NAME.test(complete[field])) {
      throw new TypeError(
        `fingerprint.${field} must match ${NAME.source}, got ${JSON.stringify(complete[field])}`,
      );
    }
  }
  for (const field of ['tokensPerBlock', 'ranks'] as const) {
    if (!Number.isInteger(complete[field]) || complete[field] < 1 || complete[field] > 2 ** 31) {
      throw new TypeError(
        `fingerprint.${field} must be a whole number from 1, got ${JSON.stringify(complete[field])}`,
      );
    }
  }
  for (const [field, value] of Object.entries(complete.extra)) {
    if (!EXTRA_NAME.test(field)) {
      throw new TypeError(
        `fingerprint.extra has a field named ${JSON.stringify(field)}; names must match ${EXTRA_NAME.source}`,
      );
    }
    if (typeof value !== 'string') {
      throw new TypeError(`fingerprint.extra.${field} must be a string, got ${JSON.stringify(value)}`);
    }
  }
  return complete;
}

/** Canonical JSON: fixed field order, `extra` sorted by name. Equal fingerprints have equal bytes in any language. */
export function fingerprintBytes(fingerprint: Fingerprint): Uint8Array {
  const complete = completeFingerprint(fingerprint);
  const ordered: Record<string, unknown> = {};
  for (const field of FIELDS) ordered[field] = complete[field];
  ordered.extra = Object.fromEntries(Object.entries(complete.extra).sort(([a], [b]) => (a < b ? -1 : 1)));
  const bytes = new TextEncoder().encode(JSON.stringify(ordered));
  if (bytes.length > FINGERPRINT_BYTES_MAX) {
    throw new TypeError(
      `fingerprint is ${bytes.length} bytes, at most ${FINGERPRINT_BYTES_MAX} fit a segment header; shorten extra`,
    );
  }
  return bytes;
}

/** Length of a namespace's id. */
export const NAMESPACE_ID_BYTES = 16;

/** First 128 bits of the SHA-256 of the canonical fingerprint. */
export function namespaceId(fingerprint: Fingerprint): Uint8Array {
  return createHash('sha256').update(fingerprintBytes(fingerprint)).digest().subarray(0, NAMESPACE_ID_BYTES);
}

/** The first field in which two fingerprints differ, or `undefined`. */
export function fingerprintDifference(a: Fingerprint, b: Fingerprint): string | undefined {
  const [left, right] = [canonical(a), canonical(b)];
  return FIELDS.find((field) => JSON.stringify(left[field]) !== JSON.stringify(right[field]));
}

/** The same fields in the same order, `extra` too: what was read back compares equal to what was written. */
function canonical(fingerprint: Fingerprint): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(fingerprintBytes(fingerprint)));
}
