import { RefillError } from '@refill/interface';

/** One request of an engine: the blocks of its prompt in order, as ids of its trace. */
export interface TraceRequest {
  /** Milliseconds since the start of the trace. */
  atMs: number;
  inputTokens: number;
  outputTokens: number;
  hashIds: readonly number[];
}

/**
 * A stream of requests. `ordered`: one conversation, each request waits for the one before it. Ids mean the same
 * block within one `scope`; blocks of different scopes have different keys.
 */
export interface Trace {
  name: string;
  scope: string;
  tokensPerBlock: number;
  ordered: boolean;
  /** Known for traces that are read whole, for progress. */
  requestCount: number | undefined;
  requests: AsyncIterable<TraceRequest> | Iterable<TraceRequest>;
}

/** A trace that cannot be read; names the file, the place in it and the field. */
export function traceError(file: string, where: string, what: string, cause?: unknown): RefillError {
  return new RefillError('ERR_INVALID_ARGUMENT', `${file}${where}: ${what}`, { cause });
}

/** Checks the ids of one request. `where` and `field` place it for people. */
export function checkHashIds(value: unknown, file: string, where: string, field: string): number[] {
  if (!Array.isArray(value))
    throw traceError(file, where, `${field} must be a list of block ids, got ${kind(value)}`);
  for (let i = 0; i < value.length; i++) {
    if (!Number.isSafeInteger(value[i]) || value[i] < 0) {
      throw traceError(file, where, `${field}[${i}] must be a whole number from 0, got ${kind(value[i])}`);
    }
  }
  return value;
}

/** Checks one number that must be there and not negative. */
export function checkNumber(value: unknown, file: string, where: string, field: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw traceError(file, where, `${field} must be a number from 0, got ${kind(value)}`);
  }
  return value;
}

function kind(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
