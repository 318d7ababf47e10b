import { basename } from 'node:path';
import { checkHashIds, checkNumber, type Trace, type TraceRequest, traceError } from './trace.ts';

/** Depth of subagents within subagents that is believed to be meant. */
const DEPTH_MAX = 32;

/**
 * A coding agent's conversation: `block_size` tokens, ids local to the file unless `hash_id_scope` says `global`,
 * `requests[]` of `t` (s), `in`, `out`, `hash_ids`. A request of type `subagent` nests further `requests`, whose
 * times count from the start of the whole trace; they run where they stand, in order.
 */
export function agenticTrace(path: string, document: Record<string, unknown>): Trace {
  const requests: TraceRequest[] = [];
  const tokensPerBlock = checkNumber(document.block_size, path, '', 'block_size');
  if (!Number.isInteger(tokensPerBlock) || tokensPerBlock < 1) {
    throw traceError(path, '', `block_size must be a whole number from 1, got ${tokensPerBlock}`);
  }
  collect(document.requests, 'requests', path, requests, 0);
  const name = typeof document.id === 'string' ? document.id : basename(path);
  return {
    name,
    scope: document.hash_id_scope === 'global' ? 'agentic:global' : `agentic:${name}`,
    tokensPerBlock,
    ordered: true,
    requestCount: requests.length,
    requests,
  };
}

function collect(list: unknown, field: string, path: string, into: TraceRequest[], depth: number): void {
  if (!Array.isArray(list)) throw traceError(path, '', `${field} must be a list of requests`);
  if (depth > DEPTH_MAX) throw traceError(path, '', `${field} nests deeper than ${DEPTH_MAX} subagents`);
  for (let i = 0; i < list.length; i++) {
    const at = `${field}[${i}]`;
    const record = list[i] as Record<string, unknown> | null;
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      throw traceError(path, '', `${at} must be an object`);
    }
    // A subagent may carry a prompt of its own besides its requests, or only them.
    if (record.hash_ids !== undefined || record.type !== 'subagent') {
      into.push({
        atMs: checkNumber(record.t, path, '', `${at}.t`) * 1000,
        inputTokens: checkNumber(record.in, path, '', `${at}.in`),
        outputTokens: checkNumber(record.out, path, '', `${at}.out`),
        hashIds: checkHashIds(record.hash_ids, path, '', `${at}.hash_ids`),
      });
    }
    if (record.type === 'subagent') collect(record.requests, `${at}.requests`, path, into, depth + 1);
  }
}
