import type { Startable } from '@libp2p/interface';

/** What a conditional write expects at its key. */
export type Expectation =
  /** Nothing is there. */
  | { absent: true }
  /** Exactly these bytes are there. */
  | { equals: Uint8Array }
  /** No condition: the caller already knows, for example from a complete index in memory. */
  | undefined;

/** One single-key operation; `value` undefined deletes. */
export interface EngineOp {
  key: Uint8Array;
  value: Uint8Array | undefined;
  expect?: Expectation;
}

export interface EngineRange {
  gte: Uint8Array;
  lt: Uint8Array;
}

/**
 * Ordered key-value storage with single-key conditions and nothing more: no transaction over several keys, so that
 * it can be spread over many machines. The bytes given are copied or written before the call resolves; those of a
 * write without conditions, and its list, before the call returns its promise, so that a caller may fill the same
 * buffers again. Bytes returned belong to the caller. One compliance suite (`test/compliance/metadata-engine.ts`) runs on every engine.
 */
export interface MetadataEngine extends Startable {
  readonly name: string;
  /** Values in the order of the keys, `undefined` where there is none. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  /**
   * Applies operations each on its own; one whose expectation fails changes nothing and reports false. Calls are
   * applied in the order they were made. With `durable` the promise resolves after the result survives a crash;
   * concurrent durable calls share one sync (group commit). With `independent` the caller says that no other
   * independent call under way changes one of these keys to anything else: those may be applied in any order among
   * themselves, still after every other call made before and before every one made after. Such a call has no conditions.
   * A durable call says nothing of those before it, which a crash may still lose: with `barrier` it survives one only
   * together with all of them. Such a call is not independent.
   */
  write(
    ops: readonly EngineOp[],
    options?: { durable?: boolean; independent?: boolean; barrier?: boolean },
  ): Promise<boolean[]>;
  /** Records in key order, in chunks; a snapshot as of the call. */
  scan(range: EngineRange): AsyncIterable<readonly (readonly [key: Uint8Array, value: Uint8Array])[]>;
  /** Deletes a whole range; not atomic, idempotent; durable when it resolves, with all calls before it. */
  clear(range: EngineRange): Promise<void>;
}
