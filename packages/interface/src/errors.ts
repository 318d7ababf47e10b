/**
 * One error class with a code. A missing block is `undefined` or a row with status `miss`, never an error; wrong
 * arguments are `TypeError`/`RangeError` that name the field, the value and the fix; broken invariants assert.
 * `docs/errors.md` lists every code with when it happens and what to do; a test compares the two.
 * The numbers travel on the wire and never change meaning.
 */
export const ERROR_CODES = {
  /** The request is malformed: a field is missing, out of range or contradicts another. */
  ERR_INVALID_ARGUMENT: 1,
  /** The frame is not of this protocol, too long, truncated or of an unknown type. */
  ERR_PROTOCOL: 2,
  /** The peer speaks a version that this side does not. */
  ERR_VERSION: 3,
  /** The directory is no Refill root, or belongs to another cluster. */
  ERR_NOT_A_ROOT: 4,
  /** The root was written by a newer version of Refill. */
  ERR_ROOT_TOO_NEW: 5,
  /** The root cannot be written. */
  ERR_ROOT_READ_ONLY: 6,
  /** Another live node uses this node's identity. */
  ERR_NODE_IDENTITY_TAKEN: 7,
  /** A namespace of this name exists with another fingerprint; the differing field is named. */
  ERR_FINGERPRINT_MISMATCH: 8,
  /** The namespace is unknown on this connection. */
  ERR_NAMESPACE_UNKNOWN: 9,
  /** The deadline passed before the work was done. */
  ERR_DEADLINE: 10,
  /** The caller aborted. */
  ERR_ABORTED: 11,
  /** No room in the arena, even after eviction of everything unpinned. */
  ERR_ARENA_FULL: 12,
  /** The shared file system is full (ENOSPC) or over its quota (EDQUOT). */
  ERR_STORAGE_FULL: 13,
  /** The shared file system failed an operation (EIO, ESTALE, ...). */
  ERR_STORAGE_FAILED: 14,
  /** The node is shutting down or gone. */
  ERR_NODE_CLOSED: 15,
  /** A reservation, pin or region is not (or no longer) held by this connection. */
  ERR_HANDLE_UNKNOWN: 16,
  /** A bound of this connection is reached: reservations, pins, regions or queued requests. */
  ERR_LIMIT: 17,
  /** The platform lacks what is needed (not Linux, no addon for this architecture). */
  ERR_PLATFORM: 18,
  /** A segment, checkpoint or catalogue on the shared file system is damaged. */
  ERR_CORRUPT: 19,
  /** The writer's epoch is no longer the current one; it was fenced off. */
  ERR_FENCED: 20,
  /** The configuration (file, environment or flag) is not valid; the field is named. */
  ERR_CONFIG: 21,
  /** A bug of Refill: an invariant broke, or something threw what nobody expected. The node's log has the trace. */
  ERR_INTERNAL: 22,
  /** Another member cannot be reached, or the connection to it broke. */
  ERR_PEER_UNREACHABLE: 23,
  /** A stranger: wrong cluster secret, not on the list of peers, or a right that was forged, expired or another's. */
  ERR_UNAUTHORIZED: 24,
  /** The metadata service cannot be reached. Reads go on from what is known; writes wait, then are refused. */
  ERR_METADATA_UNAVAILABLE: 25,
  /** The node is leaving (`refill drain`) and takes no puts and no fill leases. Reads go on until it is gone. */
  ERR_NODE_DRAINING: 26,
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

const nameOfNumber: ReadonlyMap<number, ErrorCode> = new Map(
  Object.entries(ERROR_CODES).map(([name, number]) => [number, name as ErrorCode]),
);

/** The code with this number on the wire, or `ERR_PROTOCOL` for a number this version does not know. */
export function errorCodeOf(number: number): ErrorCode {
  return nameOfNumber.get(number) ?? 'ERR_PROTOCOL';
}

export interface RefillErrorOptions extends ErrorOptions {
  /** The operating system's error number (positive), where there is one. Node names EDQUOT and ESTALE `UNKNOWN`. */
  errno?: number;
  /** A command or action that mends an error of the environment. */
  fix?: string;
}

/** The only error class that crosses a border of Refill. Switch on `code`, never on the message. */
export class RefillError extends Error {
  override readonly name = 'RefillError';
  readonly code: ErrorCode;
  readonly errno: number | undefined;
  readonly fix: string | undefined;

  constructor(code: ErrorCode, message: string, options: RefillErrorOptions = {}) {
    super(options.fix === undefined ? message : `${message}. ${options.fix}`, options);
    this.code = code;
    this.errno = options.errno;
    this.fix = options.fix;
  }
}

/** Asserts an invariant that only a bug can break. On in production: a wrong byte is worse than a crash. */
export function invariant(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${what}`);
}
