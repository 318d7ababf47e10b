import { open, readFile } from 'node:fs/promises';
import { agenticTrace } from './agentic-trace.ts';
import { mooncakeTrace } from './mooncake-trace.ts';
import { type Trace, traceError } from './trace.ts';

/** Enough to see `"hash_ids"` with `"timestamp"` on the first line of a trace of lines. */
const HEAD_BYTES = 64 * 1024;

/**
 * Opens a trace file of either format, told apart by content, not by name: lines of objects with `timestamp`, or one
 * document with `requests`. Rejects with `ERR_INVALID_ARGUMENT` naming the file, the line and the field.
 */
export async function openTrace(path: string): Promise<Trace> {
  const head = await readHead(path);
  const firstLine = head.split('\n', 1)[0]!;
  if (/^\s*\{[^{}]*"timestamp"\s*:/.test(firstLine)) return mooncakeTrace(path);
  if (!/^\s*\{/.test(head)) {
    throw traceError(
      path,
      '',
      'is no trace: neither lines of JSON objects with timestamp nor one with requests',
    );
  }
  let document: Record<string, unknown>;
  try {
    document = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    // Lines of which the first is broken look like a broken document: the reader of lines names the place.
    if (head.includes('\n{')) return mooncakeTrace(path);
    throw traceError(path, '', `is not JSON (${(cause as Error).message})`, cause);
  }
  if (document.requests === undefined) throw traceError(path, '', 'has no field requests');
  return agenticTrace(path, document);
}

async function readHead(path: string): Promise<string> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw traceError(path, '', `cannot be opened (${cause.code})`, cause);
  });
  try {
    const buffer = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(buffer, 0, HEAD_BYTES, 0);
    if (bytesRead === 0) throw traceError(path, '', 'is empty');
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
