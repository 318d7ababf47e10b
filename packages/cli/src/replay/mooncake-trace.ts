import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { checkHashIds, checkNumber, type Trace, type TraceRequest, traceError } from './trace.ts';

/** Tokens a block in the Mooncake traces (Mooncake, FAST '25, trace release). */
export const MOONCAKE_TOKENS_PER_BLOCK = 512;

/**
 * Online chat: a JSON object a line with `timestamp` (ms), `input_length`, `output_length` and `hash_ids`, global
 * over the file. Read line by line; the requests of many users, so any number may run at a time.
 */
export function mooncakeTrace(path: string): Trace {
  return {
    name: basename(path),
    scope: `mooncake:${basename(path)}`,
    tokensPerBlock: MOONCAKE_TOKENS_PER_BLOCK,
    ordered: false,
    requestCount: undefined,
    requests: readRequests(path),
  };
}

async function* readRequests(path: string): AsyncGenerator<TraceRequest> {
  const lines = createInterface({
    input: createReadStream(path, 'utf8'),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  let number = 0;
  try {
    for await (const line of lines) {
      number++;
      if (line.trim() !== '') yield parseLine(line, path, `:${number}`);
    }
  } finally {
    lines.close();
  }
}

function parseLine(line: string, path: string, where: string): TraceRequest {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line);
  } catch (cause) {
    throw traceError(path, where, `is not JSON (${(cause as Error).message})`, cause);
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) {
    throw traceError(
      path,
      where,
      'must be an object with timestamp, input_length, output_length and hash_ids',
    );
  }
  return {
    atMs: checkNumber(record.timestamp, path, where, 'timestamp'),
    inputTokens: checkNumber(record.input_length, path, where, 'input_length'),
    outputTokens: checkNumber(record.output_length, path, where, 'output_length'),
    hashIds: checkHashIds(record.hash_ids, path, where, 'hash_ids'),
  };
}
