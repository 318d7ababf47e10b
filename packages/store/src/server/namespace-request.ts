import type { Fingerprint, NamespacePolicy } from '@refill/interface';
import { completeFingerprint } from '@refill/interface';

/** Checks the JSON of a `namespace` frame. Throws `TypeError` naming the field. */
export function namespaceRequest(json: unknown): {
  fingerprint: Required<Fingerprint>;
  policy: Partial<NamespacePolicy>;
} {
  if (typeof json !== 'object' || json === null) {
    throw new TypeError('a namespace request must be an object {"fingerprint":{},"policy":{}}');
  }
  const { fingerprint, policy } = json as { fingerprint: Fingerprint; policy?: unknown };
  return { fingerprint: completeFingerprint(fingerprint), policy: policyOf(policy) };
}

function policyOf(policy: unknown): Partial<NamespacePolicy> {
  if (policy === undefined || policy === null) return {};
  if (typeof policy !== 'object') throw new TypeError(`policy must be an object, got ${typeof policy}`);
  for (const [field, value] of Object.entries(policy)) {
    if (field !== 'compress') throw new TypeError(`policy.${field} is unknown; there is policy.compress`);
    if (typeof value !== 'boolean') {
      throw new TypeError(`policy.compress must be true or false, got ${JSON.stringify(value)}`);
    }
  }
  return policy;
}
