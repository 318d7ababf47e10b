import { createHash } from 'node:crypto';
import { KEY_BYTES } from './limits.ts';

/** 32 bytes, a digest. The bytes belong to the caller; nothing here keeps a reference past the call. */
export type Key = Uint8Array;

/**
 * Makes a key of an engine's own identifier of any length up to 512 bytes: SHA-256 of it.
 * A 32-byte digest can be used as a key directly.
 */
export function keyOf(engineKey: string | Uint8Array): Key {
  return createHash('sha256').update(engineKey).digest();
}

/** Throws `TypeError` unless `key` is 32 bytes. `field` names the argument in the message. */
export function assertKey(key: unknown, field = 'key'): asserts key is Key {
  if (!(key instanceof Uint8Array)) {
    throw new TypeError(
      `${field} must be a Uint8Array of ${KEY_BYTES} bytes, got ${typeof key}; hash engine keys with keyOf()`,
    );
  }
  if (key.length !== KEY_BYTES) {
    throw new TypeError(
      `${field} must be ${KEY_BYTES} bytes, got ${key.length}; hash engine keys with keyOf()`,
    );
  }
}

/** Packs keys into one field of n x 32 bytes, the form in which they travel. */
export function packKeys(keys: readonly Key[]): Uint8Array {
  const packed = new Uint8Array(keys.length * KEY_BYTES);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    assertKey(key, `keys[${i}]`);
    packed.set(key, i * KEY_BYTES);
  }
  return packed;
}
